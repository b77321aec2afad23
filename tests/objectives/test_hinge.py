from __future__ import annotations

import pytest

from truing.objectives.hinge import hinge

from .of_two import of_two


def test_hinge_is_1_when_policy_equals_reference() -> None:
    found = of_two(hinge, [0.0], [0.0], beta=0.5)
    assert found.loss == 1.0
    assert found.chosen == [-0.5]
    assert found.rejected == [0.5]


def test_hinge_is_what_is_missing_from_a_margin_of_1() -> None:
    found = of_two(hinge, [0.5, 0.5], [-0.5], beta=0.5)
    assert found.loss == pytest.approx(1 - 0.5 * 1.5)
    assert found.metrics["rewards/chosen"] == pytest.approx(0.5)
    assert found.metrics["rewards/rejected"] == pytest.approx(-0.25)


def test_a_pair_with_margin_enough_is_left_alone() -> None:
    found = of_two(hinge, [3.0], [0.0], beta=0.5)
    assert found.loss == 0.0
    assert found.chosen == found.rejected == [0.0]


def test_a_strength_of_0_9_pulls_with_0_8_at_equality() -> None:
    found = of_two(hinge, [0.0], [0.0], beta=1.0, strength=0.9)
    assert found.loss == pytest.approx(1.0)
    assert found.chosen == pytest.approx([-0.8])
