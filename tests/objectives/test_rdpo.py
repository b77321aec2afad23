from __future__ import annotations

import math

import pytest

from truing.objectives.rdpo import rdpo

from .of_two import of_two


def test_the_worked_example_of_the_page() -> None:
    found = of_two(rdpo, [0.0] * 10, [0.0] * 5, beta=0.1, alpha=0.1)
    assert found.loss == pytest.approx(math.log(1 + math.exp(-0.5)))
    assert found.loss == pytest.approx(0.4741, abs=5e-5)
    assert found.metrics["rewards/chosen"] == pytest.approx(1.0)
    assert found.metrics["rewards/rejected"] == pytest.approx(0.5)


def test_a_longer_chosen_response_teaches_less_than_a_shorter_one() -> None:
    longer = of_two(rdpo, [0.0] * 10, [0.0] * 5, beta=0.1, alpha=0.1)
    shorter = of_two(rdpo, [0.0] * 5, [0.0] * 10, beta=0.1, alpha=0.1)
    assert longer.chosen[0] == pytest.approx(-0.1 / (1 + math.exp(0.5)))
    assert shorter.chosen[0] == pytest.approx(-0.1 / (1 + math.exp(-0.5)))
