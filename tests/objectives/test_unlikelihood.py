import math
from typing import Any

import pytest
import torch
from torch import Tensor

from truing.objectives.unlikelihood import unlikelihood
from truing.reduce import Term


def of(probabilities: list[float] | Tensor, labels: list[int], **settings: Any) -> Term:
    """Responses of one token each, with these probabilities."""
    policy = torch.as_tensor(probabilities, dtype=torch.float64).log()[:, None]
    return unlikelihood(policy, torch.ones(policy.shape, dtype=torch.bool), torch.tensor(labels), **settings)


def test_a_thumb_up_costs_the_log_of_the_probability_and_a_thumb_down_that_of_the_rest() -> None:
    term = of([0.2, 0.2], [1, 0])
    assert term.values[:, 0].tolist() == pytest.approx([-math.log(0.2), -math.log(0.8)])
    assert term.metrics["nll"][0, 0].item() == pytest.approx(-math.log(0.2))
    assert term.metrics["nll"][1, 0].isnan()
    assert term.metrics["probability/rejected"][1, 0].item() == pytest.approx(0.2)


def test_alpha_weighs_the_thumbs_down() -> None:
    assert of([0.5, 0.5], [1, 0], alpha=3.0).values[:, 0].tolist() == pytest.approx([math.log(2), 3 * math.log(2)])


def test_the_push_against_a_token_is_its_odds() -> None:
    logprobs = torch.tensor([[0.5], [0.9], [0.001]], dtype=torch.float64).log().requires_grad_()
    unlikelihood(logprobs, torch.ones(3, 1, dtype=torch.bool), torch.zeros(3)).values.sum().backward()
    assert logprobs.grad is not None
    assert logprobs.grad[:, 0].tolist() == pytest.approx([1.0, 9.0, 0.001 / 0.999])


def test_a_certain_token_costs_the_log_of_the_cut() -> None:
    assert of([1.0], [0]).values.item() == pytest.approx(-math.log(1e-5))


def test_an_improbable_token_keeps_its_digits_in_single_precision() -> None:
    logprobs = torch.tensor([[math.log(1e-9)]])
    term = unlikelihood(logprobs, torch.ones(1, 1, dtype=torch.bool), torch.tensor([0]))
    assert term.values.item() < 1e-7


def test_responses_without_a_label_are_left_out() -> None:
    assert of([0.5, 0.5, 0.5], [1, -1, 0]).mask[:, 0].tolist() == [True, False, True]


def test_the_gradient_is_the_slope_of_the_loss() -> None:
    policy = torch.tensor([0.3, 0.2, 0.6], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda p: of(p, [1, 0, 0], alpha=0.7).values, policy)
