import math
from typing import Any

import pytest
import torch
from torch import Tensor

from truing.objectives.rebel import rebel
from truing.reduce import Term

NAN = float("nan")


def of(log_ratios: list[float] | Tensor, scores: list[float], groups: list[int] | None = None, **settings: Any) -> Term:
    """Responses of one token each, with these log-ratios; one group unless said otherwise."""
    policy = torch.as_tensor(log_ratios, dtype=torch.float64)[:, None]
    mask = torch.ones(policy.shape, dtype=torch.bool)
    where = torch.tensor(groups or [0] * len(scores))
    return rebel(policy, torch.zeros_like(policy), mask, torch.tensor(scores, dtype=torch.float64), where, **settings)


def test_at_the_reference_the_loss_is_the_squared_difference_of_scores() -> None:
    assert of([0.0, 0.0, 0.0], [5.0, 3.0, 4.0]).values.tolist() == [4.0, 1.0, 1.0]


def test_it_is_0_where_the_policy_is_the_reference_tilted_by_the_scores() -> None:
    # Log-ratio = score / beta plus anything that the group shares.
    scores = [5.0, 3.0, 4.0]
    term = of([s / 0.5 - 1.7 for s in scores], scores, beta=0.5)
    assert term.values.tolist() == pytest.approx([0.0, 0.0, 0.0], abs=1e-12)
    assert term.metrics["rewards/accuracies"].tolist() == [1.0, 1.0, 1.0]
    assert term.metrics["rewards/margins"].tolist() == pytest.approx([2.0, 1.0, 1.0])


def test_the_gradient_of_a_pair_is_twice_beta_times_the_residual() -> None:
    policy = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    of(policy, [3.0, 1.0], beta=0.1).values.sum().backward()
    assert policy.grad is not None
    assert policy.grad.tolist() == pytest.approx([-0.4, 0.4])


def test_responses_without_a_score_and_other_groups_are_in_no_pair() -> None:
    term = of([0.0] * 5, [1.0, NAN, 2.0, 7.0, 9.0], [0, 0, 0, 1, 1])
    assert term.values.tolist() == [1.0, 4.0]
    assert term.rows is not None
    assert term.rows.tolist() == [0, 3]
    policy = torch.zeros(3, dtype=torch.float64, requires_grad=True)
    of(policy, [1.0, NAN, 2.0]).values.sum().backward()
    assert policy.grad is not None
    assert policy.grad[1] == 0
    assert policy.grad.isfinite().all()


def test_equal_scores_are_learnt_and_not_logged_as_right_or_wrong() -> None:
    term = of([2.0, 1.0], [3.0, 3.0], beta=1.0)
    assert term.values.tolist() == [1.0]
    assert math.isnan(term.metrics["rewards/accuracies"].item())
    assert math.isnan(term.metrics["rewards/margins"].item())


def test_the_gradient_is_the_slope_of_the_loss() -> None:
    policy = torch.tensor([0.3, -0.2, 0.1], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda p: of(p, [1.0, 2.5, -1.0], beta=0.7).values, policy)
