from __future__ import annotations

import math

import pytest

from truing.objectives.apo_down import apo_down

from .of_two import of_two


def test_at_the_reference_only_the_rejected_response_falls() -> None:
    found = of_two(apo_down, [0.0], [0.0], beta=1.0)
    assert found.loss == pytest.approx(1.0)
    assert found.chosen == pytest.approx([0.0])
    assert found.rejected == pytest.approx([0.25])


def test_both_fall_and_the_rejected_one_further() -> None:
    # The chosen one at -log 3, the rejected one log 3 below it.
    found = of_two(apo_down, [-math.log(3)], [-2 * math.log(3)], beta=1.0)
    assert found.loss == pytest.approx(1 / 4 + 1 / 4)


def test_with_a_wide_margin_the_chosen_response_falls_too() -> None:
    found = of_two(apo_down, [0.0], [-50.0], beta=1.0)
    assert found.chosen == pytest.approx([0.25])
