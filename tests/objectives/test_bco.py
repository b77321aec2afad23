import math
from typing import Any

import pytest
import torch
from torch import Tensor

from truing.objectives.bco import bco
from truing.reduce import Term


def of(
    log_ratios: list[float] | Tensor, labels: list[int], up: float = 0.0, down: float = 0.0, **settings: Any
) -> Term:
    """Responses of one token each, with these log-ratios; the means of both kinds are `up` and `down`."""
    policy = torch.as_tensor(log_ratios, dtype=torch.float64)[:, None]
    mask = torch.ones(policy.shape, dtype=torch.bool)
    means = (torch.tensor(up, dtype=torch.float64), torch.tensor(down, dtype=torch.float64))
    return bco(policy, torch.zeros_like(policy), mask, torch.tensor(labels), *means, **settings)


def test_at_the_reference_every_loss_is_log_2_times_its_weight() -> None:
    term = of([0.0, 0.0], [1, 0], undesirable_weight=2.0)
    assert term.values.tolist() == pytest.approx([math.log(2), 2 * math.log(2)])


def test_zero_lies_half_way_between_the_means_of_both_kinds() -> None:
    # Means 3 and 1, so that 2 is the middle: a response there costs log 2 with either label.
    term = of([2.0, 2.0], [1, 0], up=3.0, down=1.0, beta=0.5)
    assert term.values.tolist() == pytest.approx([math.log(2)] * 2)
    assert term.metrics["rewards/shift"].tolist() == [1.0, 1.0]


def test_it_is_logistic_regression_on_the_reward() -> None:
    term = of([math.log(3)] * 2, [1, 0], beta=1.0)
    assert term.values.tolist() == pytest.approx([-math.log(0.75), -math.log(0.25)])
    assert term.metrics["rewards/accuracies"].tolist() == [1.0, 0.0]


def test_at_the_reference_the_gradient_is_half_of_beta() -> None:
    policy = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    of(policy, [1, 0], beta=0.4, desirable_weight=3.0).values.sum().backward()
    assert policy.grad is not None
    assert policy.grad.tolist() == pytest.approx([-0.6, 0.2])


def test_responses_without_a_label_are_left_out() -> None:
    assert of([1.0, 2.0, 3.0], [-1, 0, 1]).mask.tolist() == [False, True, True]


def test_the_loss_bounds_that_of_dpo_from_above() -> None:
    # -log σ(a - b) <= -log σ(a - δ) - log σ(δ - b) for every shift δ (the paper's theorem).
    for chosen, rejected, middle in ((1.0, -2.0, 0.3), (-1.0, 4.0, 2.0), (0.0, 0.0, -1.0)):
        term = of([chosen, rejected], [1, 0], up=middle, down=middle, beta=1.0)
        assert term.values.sum().item() >= math.log(1 + math.exp(rejected - chosen))


def test_the_gradient_is_the_slope_of_the_loss() -> None:
    policy = torch.tensor([0.3, -0.2, 0.1], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda p: of(p, [1, 0, 1], up=0.2, down=-0.1, beta=0.7).values, policy)
