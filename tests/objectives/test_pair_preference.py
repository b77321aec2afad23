"""Pair preference: worked numbers and gradients."""

from __future__ import annotations

import math

import pytest
import torch

from truing.objectives.pair_preference import pair_preference


def _one(better: float, worse: float, strength: float = 1.0):  # type: ignore[no-untyped-def]
    scores = torch.tensor([better, worse], dtype=torch.float64, requires_grad=True)
    term = pair_preference(scores, torch.tensor([0]), torch.tensor([1]), torch.tensor([strength], dtype=torch.float64))
    term.values.sum().backward()
    assert scores.grad is not None
    return term, scores.grad.tolist()


def test_the_probability_is_of_half_the_difference_of_the_orders() -> None:
    term, gradient = _one(3.0, -1.0)  # logit 2
    assert term.values.item() == pytest.approx(math.log(1 + math.exp(-2)))  # 0.1269
    assert term.metrics["preferences/chosen"].item() == pytest.approx(0.8808, abs=1e-4)
    assert gradient == pytest.approx([-0.1192 / 2, 0.1192 / 2], abs=1e-4)


def test_what_both_orders_say_alike_is_a_lean_towards_the_first_and_no_preference() -> None:
    term, gradient = _one(2.0, 2.0)
    assert term.values.item() == pytest.approx(math.log(2))
    assert term.metrics["preferences/chosen"].item() == 0.5
    assert term.metrics["preferences/first"].item() == pytest.approx(1 / (1 + math.exp(-2)))
    assert gradient == pytest.approx([-0.25, 0.25])


def test_a_preference_of_nine_in_ten_is_a_logit_of_2_197() -> None:
    _, gradient = _one(2.1972, -2.1972, 0.9)
    assert gradient == pytest.approx([0.0, 0.0], abs=1e-5)
    _, gradient = _one(0.0, 0.0, 0.5)
    assert gradient == [0.0, 0.0]


def test_the_other_order_of_the_same_two_is_the_rest_of_the_probability() -> None:
    scores = torch.tensor([0.7, -1.3])
    both = pair_preference(scores, torch.tensor([0, 1]), torch.tensor([1, 0]), torch.ones(2))
    assert both.metrics["preferences/chosen"].sum().item() == pytest.approx(1.0)
    assert both.metrics["rewards/accuracies"].tolist() == [1.0, 0.0]
    assert both.rows is not None
    assert both.rows.tolist() == [0, 1]
