import math
from typing import Any

import pytest
import torch

from truing.objectives.gspo import gspo
from truing.objectives.ppo_clip import ppo_clip
from truing.reduce import Term


def of(ratios: list[list[float]], advantage: float, **settings: Any) -> tuple[Term, list[list[float]]]:
    logprobs = torch.tensor(ratios, dtype=torch.float64).log().requires_grad_()
    zeros, mask = torch.zeros_like(logprobs), torch.ones(logprobs.shape, dtype=torch.bool)
    term = gspo(logprobs, zeros, torch.full_like(zeros, advantage), mask, **settings)
    term.values.sum().backward()
    assert logprobs.grad is not None
    return term, logprobs.grad.tolist()


def test_the_ratio_is_the_geometric_mean_of_the_tokens() -> None:
    # √(4 · 1) = 2; each token has half of the gradient -A·s.
    term, gradient = of([[4.0, 1.0]], 3.0, clip=0.5, clip_high=2.0)
    assert term.metrics["ratio"].tolist() == pytest.approx([2.0])
    assert term.values.tolist() == pytest.approx([-6.0])
    assert gradient[0] == pytest.approx([-3.0, -3.0])


def test_one_token_that_went_far_does_not_drop_a_response_that_did_not() -> None:
    # ratios 2 and 1/2: the tokens left PPO's bounds, the response did not move at all.
    term, gradient = of([[2.0, 0.5]], 1.0, clip=0.2, clip_high=0.2)
    assert term.metrics["clip_ratio/region"].tolist() == [0.0]
    assert gradient[0] == pytest.approx([-0.5, -0.5])


def test_a_response_is_left_alone_as_a_whole() -> None:
    # s = √(1.2 · 1.3) = 1.249 beyond 1.1, s = √0.72 = 0.8485 below 0.9
    good, gradient = of([[1.2, 1.3], [0.8, 0.9]], 1.0, clip=0.1, clip_high=0.1)
    assert good.values.tolist() == pytest.approx([-1.1, -math.sqrt(0.72)])
    assert gradient[0] == [0.0, 0.0]
    assert gradient[1] == pytest.approx([-math.sqrt(0.72) / 2] * 2)
    assert good.metrics["clip_ratio/high"].tolist() == [1.0, 0.0]
    bad, gradient = of([[1.2, 1.3], [0.8, 0.9]], -1.0, clip=0.1, clip_high=0.1)
    assert bad.values.tolist() == pytest.approx([math.sqrt(1.56), 0.9])
    assert gradient[1] == [0.0, 0.0]
    assert bad.metrics["clip_ratio/low"].tolist() == [0.0, 1.0]


def test_on_policy_the_gradient_is_that_of_grpo() -> None:
    mask = torch.tensor([[True, True, True], [True, False, False]])
    advantages = torch.tensor([[2.0], [-1.0]]).expand(2, 3)
    logprobs = torch.tensor([[-1.0, -2.0, -0.5], [-3.0, 0.0, 0.0]], requires_grad=True)
    (whole,) = torch.autograd.grad(gspo(logprobs, logprobs.detach(), advantages, mask).values.sum(), logprobs)
    tokens = ppo_clip(logprobs, logprobs.detach(), advantages, mask).values
    (by_token,) = torch.autograd.grad((tokens * mask / mask.sum(1, keepdim=True)).sum(), logprobs)
    torch.testing.assert_close(whole, by_token)
    assert whole.tolist() == [pytest.approx([-2 / 3] * 3), [1.0, 0.0, 0.0]]


def test_a_response_without_a_trained_token_is_not_counted() -> None:
    nothing = torch.zeros(2, 2)
    term = gspo(nothing, nothing, nothing, torch.tensor([[True, False], [False, False]]))
    assert term.mask.tolist() == [True, False]


def test_the_gradient_is_the_slope_of_the_loss() -> None:
    random = torch.Generator().manual_seed(1)
    old, moved, advantages = (torch.randn(3, 4, generator=random, dtype=torch.float64) for _ in range(3))
    mask = torch.rand(3, 4, generator=random) < 0.7
    logprobs = (old + 0.1 * moved).requires_grad_()
    assert torch.autograd.gradcheck(
        lambda p: gspo(p, old, advantages, mask, clip=0.05, clip_high=0.05).values, logprobs
    )
