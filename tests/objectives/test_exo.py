from __future__ import annotations

import math

import pytest

from truing.objectives.exo import exo

from .of_two import of_two


def test_at_the_reference_exo_is_the_divergence_of_a_coin_from_the_label() -> None:
    found = of_two(exo, [0.0], [0.0], label_smoothing=0.1)
    assert found.loss == pytest.approx(0.5 * math.log(0.5 / 0.9) + 0.5 * math.log(0.5 / 0.1))


@pytest.mark.parametrize(("smoothing", "margin"), [(0.1, 2.197225), (0.001, 6.906755)])
def test_exo_is_0_at_the_logit_of_the_label(smoothing: float, margin: float) -> None:
    found = of_two(exo, [margin], [0.0], beta=1.0, label_smoothing=smoothing)
    assert found.loss == pytest.approx(0.0, abs=1e-9)
    assert found.chosen == pytest.approx([0.0], abs=1e-6)


def test_the_gradient_is_the_missing_margin_times_the_spread_of_the_policy() -> None:
    # q (1 - q) (m - logit p) with m = 0
    found = of_two(exo, [0.0], [0.0], beta=1.0, label_smoothing=0.1)
    assert found.chosen == pytest.approx([-0.25 * math.log(9)])


def test_strength_and_smoothing_multiply_as_independent_errors() -> None:
    # 0.9 · 0.8 + 0.1 · 0.2 = 0.74
    found = of_two(exo, [math.log(0.74 / 0.26)], [0.0], beta=1.0, label_smoothing=0.2, strength=0.9)
    assert found.loss == pytest.approx(0.0, abs=1e-12)
