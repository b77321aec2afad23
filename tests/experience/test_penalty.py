"""KL in the reward and as a loss, against the exact gradient: every response of a tiny policy is enumerated."""

from __future__ import annotations

import itertools
import re
from collections.abc import Callable
from pathlib import Path
from typing import Literal

import pytest
import torch
from torch import Tensor

from truing.advantages._tokens import to_go
from truing.experience.penalty import adapted, penalised
from truing.objectives.kl import kl
from truing.objectives.reinforce import reinforce

Estimator = Literal["k1", "k2", "k3"]
ESTIMATORS: tuple[Estimator, ...] = ("k1", "k2", "k3")

# Responses of two tokens from a vocabulary of two: log-odds of token 1 first, and after token 0 and token 1.
POLICY = torch.tensor([0.8, -0.5, 1.2], dtype=torch.float64)
REFERENCE = torch.tensor([-0.4, 0.3, 0.9], dtype=torch.float64)
RESPONSES = tuple(itertools.product((0, 1), repeat=2))
MASK = torch.ones(4, 2, dtype=torch.bool)


def logprobs_of(odds: Tensor) -> Tensor:
    """[4, 2]: log π of both tokens of every response."""
    states = [[0, 1 + first] for first, _ in RESPONSES]
    signs = torch.tensor([[2 * t - 1 for t in response] for response in RESPONSES])
    return torch.nn.functional.logsigmoid(signs * odds[torch.tensor(states)])


def expected(values: Callable[[Tensor], Tensor]) -> tuple[float, Tensor]:
    """Mean over every response of Σ over its tokens, and its gradient, as sampling and training have it: the
    probability of having sampled a response is not differentiated."""
    odds = POLICY.clone().requires_grad_()
    logprobs = logprobs_of(odds)
    mean = (logprobs.detach().sum(1).exp() * values(logprobs).sum(1)).sum()
    (gradient,) = torch.autograd.grad(mean, odds)
    return mean.item(), gradient


def divergence() -> tuple[float, Tensor]:
    """KL(π ‖ π_ref) of whole responses, and its gradient."""
    odds = POLICY.clone().requires_grad_()
    whole = logprobs_of(odds).sum(1)
    value = (whole.exp() * (whole - logprobs_of(REFERENCE).sum(1))).sum()
    (gradient,) = torch.autograd.grad(value, odds)
    return value.item(), gradient


def as_loss(estimator: Estimator) -> tuple[float, Tensor]:
    return expected(lambda lp: kl(lp, logprobs_of(REFERENCE), MASK, estimator=estimator).values)


def in_reward(estimator: Estimator) -> tuple[float, Tensor]:
    """The value is the mean penalty; the gradient that of REINFORCE on rewards to go."""
    zeros = torch.zeros(4, 2, dtype=torch.float64)
    dense, _ = penalised(zeros, logprobs_of(POLICY), logprobs_of(REFERENCE), MASK, 1.0, estimator)
    _, gradient = expected(lambda lp: reinforce(lp, to_go(dense, MASK, 1.0), MASK).values)
    return -(logprobs_of(POLICY).sum(1).exp() * dense.sum(1)).sum().item(), gradient


def off(gradient: Tensor) -> float:
    """How far from the exact gradient, as a share of its length."""
    exact = divergence()[1]
    return float((gradient - exact).norm() / exact.norm())


def test_a_token_twice_as_probable_as_under_the_reference_pays() -> None:
    logprobs, reference = torch.tensor([[0.5, 0.5]]).log(), torch.tensor([[0.25, 0.9]]).log()
    mask = torch.tensor([[True, False]])
    log2 = torch.tensor(2.0).log().item()
    for estimator, cost in (("k1", log2), ("k2", log2**2 / 2), ("k3", 0.5 - 1 + log2)):
        dense, distance = penalised(torch.tensor([[1.0, 0.0]]), logprobs, reference, mask, 0.1, estimator)  # type: ignore[arg-type]
        assert dense[0].tolist() == pytest.approx([1 - 0.1 * cost, 0.0])
        assert distance.tolist() == pytest.approx([log2])


def test_a_token_that_the_reference_finds_impossible_costs_a_finite_amount() -> None:
    far = torch.tensor([[-1e4]])
    dense, _ = penalised(torch.zeros(1, 1), far, torch.zeros(1, 1), torch.ones(1, 1, dtype=torch.bool), 1.0, "k3")
    assert dense.item() == pytest.approx(-4.85e8, rel=1e-3)


def test_k1_and_k3_average_to_the_divergence_and_k2_does_not() -> None:
    exact = divergence()[0]
    for place in (as_loss, in_reward):
        assert place("k1")[0] == pytest.approx(exact, rel=1e-12)
        assert place("k3")[0] == pytest.approx(exact, rel=1e-12)
        assert abs(place("k2")[0] / exact - 1) > 0.005


def test_in_the_reward_k1_alone_has_the_gradient_of_the_divergence() -> None:
    assert off(in_reward("k1")[1]) < 1e-12
    assert off(in_reward("k2")[1]) > 0.01
    assert off(in_reward("k3")[1]) > 0.01


def test_as_a_loss_k1_has_no_gradient_and_k2_misses_only_what_earlier_tokens_do_to_later_ones() -> None:
    assert as_loss("k1")[1].abs().max() < 1e-15
    exact = divergence()[1]
    found = as_loss("k2")[1]
    assert found[1:].tolist() == pytest.approx(exact[1:].tolist()), "the last token has no later one"
    assert found[0].item() != pytest.approx(exact[0].item(), rel=1e-3)
    assert off(as_loss("k3")[1]) > off(found)


def test_half_the_square_of_the_whole_responses_log_ratio_has_the_gradient_of_the_divergence() -> None:
    _, gradient = expected(lambda lp: (lp - logprobs_of(REFERENCE)).sum(1, keepdim=True) ** 2 / 2)
    assert off(gradient) < 1e-12


@pytest.mark.parametrize("estimator", ESTIMATORS)
def test_the_page_shows_the_numbers_of_the_enumeration(estimator: Estimator) -> None:
    page = (Path(__file__).parents[2] / "docs" / "kl.md").read_text(encoding="utf-8")
    row = re.search(rf"^\| `{estimator}` \| ([\d.]+) \| ([\d.]+) % \| ([\d.]+) % \|$", page, re.M)
    assert row is not None
    value, reward, loss = map(float, row.groups())
    assert value == pytest.approx(in_reward(estimator)[0], abs=5e-5)
    assert reward == pytest.approx(100 * off(in_reward(estimator)[1]), abs=0.05)
    assert loss == pytest.approx(100 * off(as_loss(estimator)[1]), abs=0.05)
    assert f"{divergence()[0]:.4f}" in page


def test_the_coefficient_follows_the_divergence_by_at_most_a_fifth() -> None:
    assert adapted(0.1, 6.6, 6.0, samples=100, horizon=1000) == pytest.approx(0.1 * 1.01)
    assert adapted(0.1, 600.0, 6.0, samples=100, horizon=1000) == pytest.approx(0.1 * 1.02)
    assert adapted(0.1, 0.0, 6.0, samples=100, horizon=1000) == pytest.approx(0.1 * 0.98)
    assert adapted(0.1, 6.0, 6.0, samples=100, horizon=1000) == 0.1


def test_the_controller_finds_the_coefficient_that_holds_the_target() -> None:
    # A policy whose divergence is 0.3/coefficient: 6 nats at 0.05.
    coefficient = 0.5
    for _ in range(2000):
        coefficient = adapted(coefficient, 0.3 / coefficient, 6.0, samples=64, horizon=1000)
    assert coefficient == pytest.approx(0.05, rel=1e-3)
