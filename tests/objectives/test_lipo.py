import math
from typing import Any

import pytest
import torch
from torch import Tensor

from truing.objectives.lipo import lambda_weights, lipo
from truing.reduce import Term

TOP = 1 / math.log(2) - 1 / math.log(3)  # what first place is worth above second


def of(log_ratios: list[float] | Tensor, ranks: list[int], **settings: Any) -> Term:
    """Responses of one token each and one group, with these log-ratios."""
    policy = torch.as_tensor(log_ratios, dtype=torch.float64)[:, None]
    mask = torch.ones(policy.shape, dtype=torch.bool)
    groups = torch.zeros(len(ranks), dtype=torch.long)
    return lipo(policy, torch.zeros_like(policy), mask, torch.tensor(ranks), groups, **settings)


def weights(scores: list[float], ranks: list[int]) -> Tensor:
    ordered = torch.tensor(ranks)
    return lambda_weights(torch.tensor(scores, dtype=torch.float64), ordered, torch.zeros_like(ordered))


def test_with_two_responses_it_is_dpo_times_what_first_place_is_worth() -> None:
    assert pytest.approx(0.5325, abs=5e-5) == TOP
    assert of([0.0, 0.0], [1, 2]).values.item() == pytest.approx(TOP * math.log(2))
    assert of([3.0, 1.0], [1, 2], beta=0.5).values.item() == pytest.approx(TOP * math.log(1 + math.exp(-1)))


def test_a_pair_counts_by_difference_and_by_places_worked_by_hand() -> None:
    # ψ = 1, 1/2, 0 by rank; the policy has the middle one first, then the best, then the worst.
    found = weights([1.0, 2.0, 0.0], [1, 2, 3])
    first, second, third = (1 / math.log(1 + place) for place in (1, 2, 3))
    assert found[0, 1].item() == pytest.approx((2 - math.sqrt(2)) * (first - second))
    assert found[0, 2].item() == pytest.approx((2 - 1) * (second - third))
    assert found[1, 2].item() == pytest.approx((math.sqrt(2) - 1) * (first - third))
    assert torch.equal(found, found.T)


def test_where_all_are_equal_people_say_who_is_first() -> None:
    torch.testing.assert_close(weights([0.0, 0.0, 0.0], [2, 3, 1]), weights([2.0, 1.0, 3.0], [2, 3, 1]))


def test_ties_and_unranked_give_no_pair() -> None:
    assert not of([1.0, 2.0], [1, 1]).mask.any()
    policy = torch.tensor([0.3, 0.1, 0.5], dtype=torch.float64, requires_grad=True)
    of(policy, [1, 2, 0]).values.sum().backward()
    assert policy.grad is not None
    assert policy.grad[2] == 0
    two = of([0.3, 0.1], [1, 2]).values.item()
    assert of([0.3, 0.1, 0.5], [1, 2, 0]).values.item() == pytest.approx(two)


def test_the_weights_have_no_gradient() -> None:
    policy = torch.tensor([0.3, 0.1], dtype=torch.float64, requires_grad=True)
    of(policy, [1, 2], beta=1.0).values.sum().backward()
    assert policy.grad is not None
    assert policy.grad[0].item() == pytest.approx(-TOP / (1 + math.exp(0.2)))


def test_it_logs_how_much_of_the_order_is_right() -> None:
    metrics = of([2.0, 3.0, 0.0], [1, 2, 3], beta=1.0).metrics
    assert metrics["rewards/accuracies"].item() == pytest.approx(2 / 3)
    assert metrics["rewards/margins"].item() == pytest.approx((-1 + 2 + 3) / 3)
