from __future__ import annotations

import pytest

from truing.objectives.ipo import ipo

from .of_two import of_two


def test_ipo_is_the_square_of_half_over_beta_when_policy_equals_reference() -> None:
    found = of_two(ipo, [0.0], [0.0], beta=0.1)
    assert found.loss == pytest.approx(25.0)  # (0 - 1 / 0.2)²
    assert found.chosen == pytest.approx([-10.0])
    assert found.rejected == pytest.approx([10.0])


def test_ipo_is_content_with_a_margin_of_one_half() -> None:
    found = of_two(ipo, [3.0], [-2.0], beta=0.1)
    assert found.loss == pytest.approx(0.0)
    assert found.chosen == found.rejected == pytest.approx([0.0])
    assert found.metrics["rewards/margins"] == pytest.approx(0.5)


def test_beyond_the_margin_ipo_pulls_back() -> None:
    found = of_two(ipo, [6.0], [0.0], beta=0.1)
    assert found.loss == pytest.approx(1.0)
    assert found.chosen == pytest.approx([2.0])


def test_log_ratios_are_averaged_over_tokens_or_summed() -> None:
    # Means 2 and 1: (1 - 1)² = 0; sums 4 and 1: (3 - 1)² = 4.
    assert of_two(ipo, [1.0, 3.0], [1.0], beta=0.5).loss == pytest.approx(0.0)
    summed = of_two(ipo, [1.0, 3.0], [1.0], beta=0.5, average=False)
    assert summed.loss == pytest.approx(4.0)
    assert summed.chosen == pytest.approx([4.0, 4.0])
    assert of_two(ipo, [2.0, 4.0], [1.0], beta=0.5).chosen == pytest.approx([1.0, 1.0])  # 2 · (2 - 1) / 2


def test_a_strength_of_three_quarters_asks_for_half_the_margin() -> None:
    found = of_two(ipo, [2.5], [0.0], beta=0.1, strength=0.75)
    assert found.chosen == pytest.approx([0.0])
