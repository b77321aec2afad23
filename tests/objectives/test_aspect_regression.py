"""Aspect regression: worked numbers and gradients."""

from __future__ import annotations

import math

import pytest
import torch

from truing.objectives.aspect_regression import aspect_regression
from truing.reduce import weigh


def test_every_score_that_was_given_is_a_squared_error_and_no_other() -> None:
    heads = torch.tensor([[1.0, 0.0], [2.0, -1.0]], requires_grad=True)
    scores = torch.tensor([[0.5, math.nan], [2.0, 1.0]])
    term = aspect_regression(heads, scores)
    assert term.mask.tolist() == [[True, False], [True, True]]
    weighing = weigh(term.mask, torch.tensor([0, 1]), "token")
    loss = (weighing.weights * torch.where(term.mask, term.values, 0.0)).sum() / weighing.count
    assert loss.item() == pytest.approx((0.25 + 0.0 + 4.0) / 3)
    loss.backward()
    assert heads.grad is not None
    assert heads.grad.flatten().tolist() == pytest.approx([2 * 0.5 / 3, 0.0, 0.0, 2 * -2 / 3])


def test_by_sequence_a_response_with_one_score_counts_as_one_with_two() -> None:
    term = aspect_regression(torch.zeros(2, 2), torch.tensor([[2.0, math.nan], [1.0, 1.0]]))
    weighing = weigh(term.mask, torch.tensor([0, 1]), "sequence")
    loss = (weighing.weights * torch.where(term.mask, term.values, 0.0)).sum() / weighing.count
    assert loss.item() == pytest.approx((4.0 + 1.0) / 2)


def test_saying_the_mean_everywhere_costs_1() -> None:
    scores = torch.tensor([[-1.0], [1.0], [1.0], [-1.0]])
    term = aspect_regression(torch.zeros(4, 1), scores)
    assert term.values.mean().item() == 1.0
    assert term.metrics["error"].mean().item() == 1.0
