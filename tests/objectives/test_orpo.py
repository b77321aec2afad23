from __future__ import annotations

import math

import pytest

from truing.objectives.orpo import orpo

from .of_two import of_two


def test_the_worked_example_of_the_page() -> None:
    # P 0.5 and 0.2: odds 1 and 1/4.
    found = of_two(orpo, [math.log(0.5)], [math.log(0.2)])
    assert found.loss == pytest.approx(math.log(1 + 1 / 4))
    assert found.metrics["rewards/chosen"] == pytest.approx(0.0)
    assert found.metrics["rewards/rejected"] == pytest.approx(math.log(1 / 4))
    # d log odds / d log P = 1 / (1 - P); σ(-log 4) = 0.2.
    assert found.chosen == pytest.approx([-0.2 / 0.5])
    assert found.rejected == pytest.approx([0.2 / 0.8])


def test_probabilities_are_geometric_means_over_tokens() -> None:
    found = of_two(orpo, [math.log(0.25), math.log(1.0)], [math.log(0.2)])
    assert found.loss == pytest.approx(math.log(1 + 1 / 4))
    assert found.chosen == pytest.approx([-0.2, -0.2])


def test_a_certain_response_has_finite_odds() -> None:
    found = of_two(orpo, [0.0], [math.log(0.5)])
    assert found.metrics["rewards/chosen"] == pytest.approx(math.log(1e6), rel=1e-3)
    found = of_two(orpo, [math.log(0.5)], [0.0])
    assert found.rejected == pytest.approx([1.0], abs=1e-5), "it can still be pushed down"


def test_a_strength_of_one_half_has_no_gradient_at_equality() -> None:
    assert of_two(orpo, [-1.0], [-1.0], strength=0.5).chosen == pytest.approx([0.0])
