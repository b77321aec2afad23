from __future__ import annotations

import math

import pytest

from truing.objectives.discopop import discopop

from .of_two import of_two


def test_at_the_reference_it_is_half_logistic_and_half_exponential() -> None:
    assert of_two(discopop, [0.0], [0.0]).loss == pytest.approx((math.log(2) + 1) / 2)


def test_far_from_the_reference_one_of_the_two_is_left() -> None:
    assert of_two(discopop, [3.0], [0.0], beta=1.0).loss == pytest.approx(math.exp(-3))
    assert of_two(discopop, [-3.0], [0.0], beta=1.0).loss == pytest.approx(math.log(1 + math.exp(3)))


@pytest.mark.parametrize(("tau", "slope"), [(0.05, 0.784264), (0.2, -0.366434)])
def test_a_narrow_change_is_a_hump_at_the_reference(tau: float, slope: float) -> None:
    # (1 - w) · (-1/2) + w · (-1) + w' · (1 - log 2), with w = 1/2 and w' = 1 / (4 tau).
    found = of_two(discopop, [0.0], [0.0], beta=1.0, tau=tau)
    assert found.chosen == pytest.approx([slope], abs=1e-6)


def test_a_pair_that_is_very_wrong_overflows_nowhere() -> None:
    found = of_two(discopop, [-1e5], [0.0], beta=1.0, tau=3.0)
    assert found.loss == pytest.approx(1e5)
    assert found.chosen == pytest.approx([-1.0])
