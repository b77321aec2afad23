from __future__ import annotations

import math

import pytest

from truing.objectives.wpo import wpo

from .of_two import of_two


def test_a_pair_counts_by_the_mean_token_probability_of_both_responses() -> None:
    chosen, rejected = [math.log(0.5)], [math.log(0.1), math.log(0.4)]  # 0.5 · sqrt(0.1 · 0.4) = 0.1
    found = of_two(wpo, chosen, rejected, reference=(chosen, rejected), beta=1.0)
    assert found.metrics["weights"] == pytest.approx(0.1)
    assert found.loss == pytest.approx(0.1 * math.log(2))


def test_the_weight_has_no_gradient() -> None:
    chosen, rejected = [math.log(0.5)], [math.log(0.2)]
    found = of_two(wpo, chosen, rejected, reference=(chosen, rejected), beta=1.0)
    assert found.chosen == pytest.approx([-0.05])  # 0.1 · (-1/2)
    assert found.rejected == pytest.approx([0.05])
