from typing import Any

import pytest
import torch

from truing.objectives.ppo_clip import ppo_clip
from truing.objectives.reinforce import reinforce
from truing.reduce import Term

#               up, in   up, over   down, in   down, under
RATIOS = [1.1, 1.5, 0.9, 0.5]


def of_ratios(ratios: list[float], advantage: float, **settings: Any) -> tuple[Term, list[float]]:
    logprobs = torch.tensor([ratios], dtype=torch.float64).log().requires_grad_()
    shape = (1, len(ratios))
    term = ppo_clip(
        logprobs, torch.zeros(shape), torch.full(shape, advantage), torch.ones(shape, dtype=torch.bool), **settings
    )
    term.values.sum().backward()
    assert logprobs.grad is not None
    return term, logprobs.grad[0].tolist()


def test_a_good_token_counts_until_it_has_grown_by_the_clip() -> None:
    term, gradient = of_ratios(RATIOS, 2.0, clip=0.2)
    assert term.values[0].tolist() == pytest.approx([-2.2, -2.4, -1.8, -1.0])
    assert gradient == pytest.approx([-2.2, 0.0, -1.8, -1.0])
    assert term.metrics["clip_ratio/high"][0].tolist() == [0, 1, 0, 0]
    assert term.metrics["clip_ratio/low"][0].tolist() == [0, 0, 0, 0]


def test_a_bad_token_counts_until_it_has_shrunk_by_the_clip() -> None:
    term, gradient = of_ratios(RATIOS, -2.0, clip=0.2)
    assert term.values[0].tolist() == pytest.approx([2.2, 3.0, 1.8, 1.6])
    assert gradient == pytest.approx([2.2, 3.0, 1.8, 0.0])
    assert term.metrics["clip_ratio/low"][0].tolist() == [0, 0, 0, 1]
    assert term.metrics["clip_ratio/high"][0].tolist() == [0, 0, 0, 0]
    assert term.metrics["clip_ratio/region"][0].tolist() == [0, 0, 0, 1]
    assert term.metrics["ratio"][0].tolist() == pytest.approx(RATIOS)


def test_clip_higher_lets_a_token_grow_further() -> None:
    _, gradient = of_ratios([1.25, 1.3, 0.75], 1.0, clip=0.2, clip_high=0.28)
    assert gradient == pytest.approx([-1.25, 0.0, -0.75])
    _, gradient = of_ratios([1.25, 0.75], -1.0, clip=0.2, clip_high=0.28)
    assert gradient == pytest.approx([1.25, 0.0])


def test_on_policy_the_gradient_is_that_of_reinforce() -> None:
    advantages = torch.tensor([[0.5, -1.0], [2.0, 0.0]])
    mask = torch.tensor([[True, True], [True, False]])
    gradients = []
    for objective in (
        lambda lp: ppo_clip(lp, lp.detach(), advantages, mask),
        lambda lp: reinforce(lp, advantages, mask),
    ):
        logprobs = torch.tensor([[-1.0, -2.0], [-3.0, -4.0]], requires_grad=True)
        objective(logprobs).values.sum().backward()
        assert logprobs.grad is not None
        gradients.append(logprobs.grad.tolist())
    assert gradients[0] == gradients[1]


def test_a_ratio_beyond_all_floats_is_cut() -> None:
    logprobs = torch.zeros(1, 1, requires_grad=True)
    term = ppo_clip(logprobs, torch.tensor([[-1e4]]), -torch.ones(1, 1), torch.ones(1, 1, dtype=torch.bool))
    term.values.sum().backward()
    assert term.values.item() == pytest.approx(4.85e8, rel=1e-3)
    assert logprobs.grad is not None
    assert logprobs.grad.item() == 0.0


def test_the_gradient_is_the_slope_of_the_loss() -> None:
    random = torch.Generator().manual_seed(1)
    old = torch.randn(3, 4, generator=random, dtype=torch.float64)
    logprobs = (old + 0.3 * torch.randn(3, 4, generator=random, dtype=torch.float64)).requires_grad_()
    advantages = torch.randn(3, 4, generator=random, dtype=torch.float64)
    mask = torch.rand(3, 4, generator=random) < 0.7
    assert torch.autograd.gradcheck(lambda p: ppo_clip(p, old, advantages, mask, clip_high=0.3).values, logprobs)


def test_a_bad_token_never_costs_more_than_the_dual_clip() -> None:
    plain, gradient = of_ratios([5.0, 2.0, 0.5], -1.0, clip=0.2)
    assert plain.values[0].tolist() == pytest.approx([5.0, 2.0, 0.8])
    assert gradient == pytest.approx([5.0, 2.0, 0.0])
    term, gradient = of_ratios([5.0, 2.0, 0.5], -1.0, clip=0.2, dual_clip=3.0)
    assert term.values[0].tolist() == pytest.approx([3.0, 2.0, 0.8])
    assert gradient == pytest.approx([0.0, 2.0, 0.0])
    assert term.metrics["clip_ratio/dual"][0].tolist() == [1, 0, 0]


def test_the_dual_clip_leaves_good_tokens_alone() -> None:
    with_it, gradient = of_ratios([5.0, 1.1, 0.5], 1.0, clip=0.2, dual_clip=3.0)
    without, expected = of_ratios([5.0, 1.1, 0.5], 1.0, clip=0.2)
    assert with_it.values.tolist() == without.values.tolist()
    assert gradient == expected
    assert with_it.metrics["clip_ratio/dual"].sum() == 0
