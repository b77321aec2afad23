from __future__ import annotations

import math

import pytest

from truing.objectives.cpo import cpo
from truing.objectives.dpo import dpo

from .of_two import of_two


def test_cpo_is_the_logistic_loss_of_log_probabilities() -> None:
    found = of_two(cpo, [-1.0, -1.0], [-4.0], beta=0.5)  # 0.5 · (-2 + 4) = 1
    assert found.loss == pytest.approx(math.log(1 + math.exp(-1)))
    pull = 0.5 / (1 + math.e)
    assert found.chosen == pytest.approx([-pull, -pull])
    assert found.rejected == pytest.approx([pull])
    assert found.metrics["rewards/chosen"] == pytest.approx(-1.0)


def test_cpo_is_dpo_with_a_uniform_reference() -> None:
    # The same log-probability for both responses: it cancels.
    uniform = ([-2.5, -2.5], [-5.0])
    dpo_loss = of_two(dpo, [-1.0, -1.0], [-4.0], reference=uniform, beta=0.5).loss
    assert of_two(cpo, [-1.0, -1.0], [-4.0], beta=0.5).loss == pytest.approx(dpo_loss)


def test_smoothing_is_a_strength_for_all() -> None:
    smoothed = of_two(cpo, [-1.0], [-2.0], label_smoothing=0.2)
    assert smoothed.loss == pytest.approx(of_two(cpo, [-1.0], [-2.0], strength=0.8).loss)
