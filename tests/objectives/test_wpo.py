from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from truing.objectives.wpo import wpo

from .of_two import of_two


def weight(chosen: list[float], rejected: list[float], collisions: list[list[float]], **settings: Any) -> float:
    """What a pair of these token probabilities weighs, Σ π² at each place given."""
    said = torch.tensor([chosen, rejected], dtype=torch.float64).log()
    mask = torch.ones_like(said, dtype=torch.bool)
    pair = torch.tensor([0]), torch.tensor([1]), torch.ones(1, dtype=torch.float64)
    logs = torch.tensor(collisions, dtype=torch.float64).log()
    return wpo(said, said, logs, mask, *pair, **settings).metrics["weights"].item()


def test_a_pair_counts_by_the_mean_token_probability_of_both_responses() -> None:
    chosen, rejected = [math.log(0.5)], [math.log(0.1), math.log(0.4)]  # 0.5 · sqrt(0.1 · 0.4) = 0.1
    found = of_two(wpo, chosen, rejected, reference=(chosen, rejected), beta=1.0, alignment="none")
    assert found.metrics["weights"] == pytest.approx(0.1)
    assert found.loss == pytest.approx(0.1 * math.log(2))


def test_the_weight_has_no_gradient() -> None:
    chosen, rejected = [math.log(0.5)], [math.log(0.2)]
    found = of_two(wpo, chosen, rejected, reference=(chosen, rejected), beta=1.0)
    assert found.chosen == pytest.approx([-0.05])  # 0.1 · (-1/2)
    assert found.rejected == pytest.approx([0.05])


def test_sampled_alignment_divides_every_token_by_what_a_sample_would_have() -> None:
    # chosen: 0.5 / 0.25 and 0.1 / 0.2: sqrt(2 · 0.5) = 1. rejected: 0.2 / 0.4 and 0.1 / 0.2: 0.5.
    half = weight([0.5, 0.1], [0.2, 0.1], [[0.25, 0.2], [0.4, 0.2]])
    assert half == pytest.approx(0.5)


def test_where_all_tokens_are_alike_the_weight_is_1_however_many_there_are() -> None:
    for number in (2, 1000):
        alike = [1 / number] * 3
        assert weight(alike, alike, [alike, alike]) == pytest.approx(1.0)  # Σ π² = 1 / number
        assert weight(alike, alike, [alike, alike], alignment="none") == pytest.approx(number**-2)


def test_a_weight_above_the_most_is_cut() -> None:
    sure = [[0.5], [0.5]]
    assert weight([0.9], [0.9], sure) == pytest.approx(3.24)
    assert weight([0.9], [0.9], sure, max_weight=1.0) == 1.0
    assert weight([0.1], [0.1], sure, max_weight=1.0) == pytest.approx(0.04)
