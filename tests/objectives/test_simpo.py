from __future__ import annotations

import math

import pytest

from truing.objectives.simpo import simpo

from .of_two import of_two


def test_simpo_is_the_logistic_loss_of_mean_log_probabilities_less_the_target() -> None:
    found = of_two(simpo, [-1.0, -3.0], [-4.0], beta=1.0, gamma=1.0)  # -2 + 4 - 1 = 1
    assert found.loss == pytest.approx(math.log(1 + math.exp(-1)))
    pull = 1 / (1 + math.e)  # σ(-1)
    assert found.chosen == pytest.approx([-pull / 2, -pull / 2])
    assert found.rejected == pytest.approx([pull])
    assert found.metrics["rewards/margins"] == pytest.approx(2.0), "the target is not part of the rewards"


def test_saying_it_twice_does_not_change_the_reward() -> None:
    once, twice = (of_two(simpo, [-1.0, -3.0] * n, [-4.0]) for n in (1, 2))
    assert twice.loss == pytest.approx(once.loss)
    assert twice.metrics["logps/chosen"] == pytest.approx(2 * once.metrics["logps/chosen"])


def test_a_strength_of_0_9_is_least_at_2_197_beyond_the_target() -> None:
    found = of_two(simpo, [-1.0], [-2.0 - math.log(9)], beta=1.0, gamma=1.0, strength=0.9)
    assert found.chosen == pytest.approx([0.0])


def test_smoothing_is_a_strength_for_all() -> None:
    smoothed = of_two(simpo, [-1.0], [-2.0], label_smoothing=0.2)
    assert smoothed.loss == pytest.approx(of_two(simpo, [-1.0], [-2.0], strength=0.8).loss)
