from __future__ import annotations

import math

import pytest

from truing.objectives.alpha_po import alpha_po
from truing.objectives.simpo import simpo

from .of_two import of_two


def test_with_alpha_1_the_reward_is_1_less_one_over_p() -> None:
    # P 1/2 and 1/4: rewards -1 and -3, less the target of 1.
    found = of_two(alpha_po, [math.log(1 / 2)], [math.log(1 / 4)], beta=1.0, gamma=1.0, alpha=1.0)
    assert found.loss == pytest.approx(math.log(1 + math.exp(-1)))
    assert found.metrics["rewards/chosen"] == pytest.approx(-1.0)
    pull = 1 / (1 + math.e)
    assert found.chosen == pytest.approx([-2 * pull])  # dr / d log P = 1/P
    assert found.rejected == pytest.approx([4 * pull])


def test_towards_alpha_0_it_is_simpo() -> None:
    settings = {"beta": 2.0, "gamma": 0.5}
    found = of_two(alpha_po, [-1.0, -3.0], [-4.0], alpha=1e-7, **settings)
    assert found.loss == pytest.approx(of_two(simpo, [-1.0, -3.0], [-4.0], **settings).loss, rel=1e-5)
