import math
from typing import Any

import pytest
import torch
from torch import Tensor

from truing.objectives.dpo import dpo
from truing.reduce import Term

FIRST, SECOND = torch.tensor([0]), torch.tensor([1])
SURE = torch.tensor([1.0])


def of_two(policy: Tensor, reference: Tensor, *, strength: Tensor = SURE, **settings: Any) -> Term:
    """Two responses of one token each, the first preferred."""
    mask = torch.ones(2, 1, dtype=torch.bool)
    return dpo(policy, reference, mask, FIRST, SECOND, strength, **settings)


def test_dpo_is_log_2_when_policy_equals_reference() -> None:
    same = torch.tensor([[-1.0], [-3.0]])
    assert of_two(same, same).values.item() == pytest.approx(math.log(2))


def test_the_worked_example_of_the_field() -> None:
    # Policy 0.024 / 0.008, reference 0.012 / 0.015, beta 0.3: the ratios are 2 and 8/15, their quotient 3.75.
    policy = torch.tensor([[0.024], [0.008]], dtype=torch.float64).log()
    reference = torch.tensor([[0.012], [0.015]], dtype=torch.float64).log()
    term = of_two(policy, reference, beta=0.3)
    assert term.values.item() == pytest.approx(math.log(1 + 3.75**-0.3), rel=1e-12)
    assert term.values.item() == pytest.approx(0.5144, abs=5e-5)
    assert term.metrics["rewards/chosen"].item() == pytest.approx(0.3 * math.log(2))
    assert term.metrics["rewards/rejected"].item() == pytest.approx(0.3 * math.log(8 / 15))
    assert term.metrics["rewards/margins"].item() == pytest.approx(0.3 * math.log(3.75))
    assert term.metrics["rewards/accuracies"].item() == 1.0
    assert term.metrics["logps/chosen"].item() == pytest.approx(math.log(0.024))
    assert term.metrics["logps/rejected"].item() == pytest.approx(math.log(0.008))


def test_at_the_reference_the_gradient_is_half_of_beta_up_and_down() -> None:
    policy = torch.zeros(2, 1, requires_grad=True)
    of_two(policy, torch.zeros(2, 1), beta=0.1).values.sum().backward()
    assert policy.grad is not None
    assert policy.grad[:, 0].tolist() == pytest.approx([-0.05, 0.05])


def test_log_ratios_are_summed_over_trained_tokens() -> None:
    policy = torch.tensor([[0.2, 0.3, 9.0], [0.1, 9.0, 9.0]])
    mask = torch.tensor([[True, True, False], [True, False, False]])
    term = dpo(policy, torch.zeros(2, 3), mask, FIRST, SECOND, SURE, beta=1.0)
    assert term.metrics["rewards/margins"].item() == pytest.approx(0.2 + 0.3 - 0.1)


def gradient_at_margin(margin: float, **settings: Any) -> float:
    policy = torch.tensor([[margin], [0.0]], dtype=torch.float64, requires_grad=True)
    of_two(policy, torch.zeros(2, 1, dtype=torch.float64), beta=1.0, **settings).values.sum().backward()
    assert policy.grad is not None
    return policy.grad[0, 0].item()


def test_a_strength_of_0_9_is_least_at_a_margin_of_logit_0_9() -> None:
    strength = torch.tensor([0.9], dtype=torch.float64)
    least = math.log(9)
    assert least == pytest.approx(2.197, abs=5e-4)
    assert gradient_at_margin(least, strength=strength) == pytest.approx(0.0, abs=1e-12)
    assert gradient_at_margin(least - 0.1, strength=strength) < 0 < gradient_at_margin(least + 0.1, strength=strength)


def test_a_strength_of_one_half_has_no_gradient_at_equality() -> None:
    assert gradient_at_margin(0.0, strength=torch.tensor([0.5], dtype=torch.float64)) == 0.0


def test_smoothing_alone_is_a_strength_of_one_minus_smoothing() -> None:
    smoothed = gradient_at_margin(0.7, label_smoothing=0.2)
    assert smoothed == pytest.approx(gradient_at_margin(0.7, strength=torch.tensor([0.8], dtype=torch.float64)))


def test_smoothing_and_strength_multiply_as_independent_errors() -> None:
    # 0.9 · 0.8 + 0.1 · 0.2 = 0.74
    both = gradient_at_margin(0.7, label_smoothing=0.2, strength=torch.tensor([0.9], dtype=torch.float64))
    assert both == pytest.approx(gradient_at_margin(0.7, strength=torch.tensor([0.74], dtype=torch.float64)))


def test_a_row_may_be_in_several_pairs() -> None:
    policy = torch.tensor([[3.0], [2.0], [1.0]], requires_grad=True)
    mask = torch.ones(3, 1, dtype=torch.bool)
    chosen, rejected = torch.tensor([0, 0, 1]), torch.tensor([1, 2, 2])
    term = dpo(policy, torch.zeros(3, 1), mask, chosen, rejected, torch.ones(3), beta=1.0)
    assert term.metrics["rewards/margins"].tolist() == [1.0, 2.0, 1.0]
    assert term.rows is not None
    assert term.rows.tolist() == [0, 0, 1]


def test_the_gradient_is_the_slope_of_the_loss() -> None:
    random = torch.Generator().manual_seed(0)
    policy = torch.randn(4, 3, generator=random, dtype=torch.float64, requires_grad=True)
    reference = torch.randn(4, 3, generator=random, dtype=torch.float64)
    mask = torch.tensor([[1, 1, 1], [1, 0, 0], [0, 1, 1], [1, 1, 0]]).bool()
    pairs = (torch.tensor([0, 3]), torch.tensor([1, 2]), torch.tensor([0.9, 0.6], dtype=torch.float64))
    assert torch.autograd.gradcheck(
        lambda p: dpo(p, reference, mask, *pairs, beta=0.7, label_smoothing=0.1).values, policy
    )
