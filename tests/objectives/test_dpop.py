from __future__ import annotations

import math

import pytest

from truing.objectives.dpo import dpo
from truing.objectives.dpop import dpop

from .of_two import of_two


def test_what_the_chosen_response_lost_is_taken_off_the_margin() -> None:
    # 1.5 - 2 · 0.5 = 0.5
    found = of_two(dpop, [-0.5], [-2.0], beta=1.0, penalty=2.0)
    assert found.loss == pytest.approx(math.log(1 + math.exp(-0.5)))
    pull = 1 / (1 + math.exp(0.5))
    assert found.chosen == pytest.approx([-3 * pull])
    assert found.rejected == pytest.approx([pull])
    assert found.metrics["rewards/margins"] == pytest.approx(1.5), "the penalty is not part of the rewards"


def test_above_the_reference_it_is_dpo() -> None:
    found, plain = (of_two(f, [0.5], [-2.0], beta=0.3) for f in (dpop, dpo))
    assert found.loss == pytest.approx(plain.loss)
    assert found.chosen == pytest.approx(plain.chosen)


def test_a_tie_is_punished_from_both_sides() -> None:
    found = of_two(dpop, [-1.0], [-1.0], beta=1.0, penalty=2.0, strength=0.5)
    assert found.loss == pytest.approx(math.log(1 + math.exp(2)))
    assert found.chosen == pytest.approx(found.rejected)
    assert found.chosen[0] < 0
