from __future__ import annotations

import math

import pytest

from truing.objectives.apo_zero import apo_zero

from .of_two import of_two


def test_apo_zero_is_1_when_policy_equals_reference() -> None:
    found = of_two(apo_zero, [0.0], [0.0], beta=1.0)
    assert found.loss == pytest.approx(1.0)
    assert found.chosen == pytest.approx([-0.25])
    assert found.rejected == pytest.approx([0.25])


def test_each_response_is_judged_by_itself() -> None:
    found = of_two(apo_zero, [math.log(3)], [-math.log(3)], beta=1.0)
    assert found.loss == pytest.approx(1 / 4 + 1 / 4)
    assert found.chosen == pytest.approx([-3 / 16])


def test_a_tie_pulls_nowhere_at_the_reference() -> None:
    found = of_two(apo_zero, [0.0], [0.0], strength=0.5)
    assert found.chosen == found.rejected == pytest.approx([0.0])
