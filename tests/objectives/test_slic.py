from __future__ import annotations

import pytest

from truing.objectives.slic import slic

from .of_two import of_two


def test_slic_is_what_is_missing_from_the_distance() -> None:
    found = of_two(slic, [-1.0], [-1.0, -2.0], delta=3.0)  # 3 - (-1) + (-3)
    assert found.loss == pytest.approx(1.0)
    assert found.chosen == [-1.0]
    assert found.rejected == [1.0, 1.0]
    assert found.metrics["rewards/margins"] == pytest.approx(2.0)


def test_a_pair_far_enough_apart_is_left_alone() -> None:
    found = of_two(slic, [-1.0], [-5.0], delta=3.0)
    assert found.loss == 0.0
    assert found.chosen == found.rejected == [0.0]


def test_a_strength_of_0_9_pulls_with_0_8_at_equality() -> None:
    found = of_two(slic, [-1.0], [-1.0], strength=0.9)
    assert found.loss == pytest.approx(1.0)
    assert found.chosen == pytest.approx([-0.8])
