import math
from typing import Any

import pytest
import torch
from torch import Tensor

from truing.objectives.npo import npo
from truing.reduce import Term


def of(log_ratios: list[float] | Tensor, labels: list[int], **settings: Any) -> Term:
    """Responses of one token each, with these log-ratios."""
    policy = torch.as_tensor(log_ratios, dtype=torch.float64)[:, None]
    mask = torch.ones(policy.shape, dtype=torch.bool)
    return npo(policy, torch.zeros_like(policy), mask, torch.tensor(labels), **settings)


def gradient(log_ratio: float, beta: float) -> float:
    policy = torch.tensor([log_ratio], dtype=torch.float64, requires_grad=True)
    of(policy, [0], beta=beta).values.sum().backward()
    assert policy.grad is not None
    return policy.grad.item()


def test_at_the_reference_the_loss_is_log_2_times_2_over_beta() -> None:
    assert of([0.0], [0], beta=0.1).values.item() == pytest.approx(20 * math.log(2))


@pytest.mark.parametrize("beta", [0.01, 0.1, 2.0])
def test_at_the_reference_it_is_gradient_ascent_on_the_likelihood_loss(beta: float) -> None:
    assert gradient(0.0, beta) == pytest.approx(1.0)


def test_the_gradient_halves_where_the_ratio_is_3_to_the_minus_one_over_beta() -> None:
    assert gradient(-math.log(3) / 0.1, 0.1) == pytest.approx(0.5)
    assert gradient(-math.log(3) / 0.5, 0.5) == pytest.approx(0.5)


def test_only_thumbs_down_have_a_part() -> None:
    term = of([1.0, 2.0, 3.0], [1, 0, -1], beta=0.5)
    assert term.mask.tolist() == [False, True, False]
    assert term.metrics["rewards/rejected"][1].item() == 1.0
    assert term.metrics["logps/rejected"][1].item() == 2.0


def test_the_gradient_is_the_slope_of_the_loss() -> None:
    policy = torch.tensor([0.3, -0.2, 0.1], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda p: of(p, [0, 0, 1], beta=0.7).values, policy)
