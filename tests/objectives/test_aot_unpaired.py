from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor
from torch.nn.functional import logsigmoid

from truing.objectives.aot_unpaired import aot_unpaired
from truing.reduce import Term
from truing.registry import objective
from truing.statistics import STATISTICS


def of_ratios(chosen: list[float], rejected: list[float], **settings: Any) -> tuple[Term, Tensor, Tensor]:
    """Responses of one token with these log-ratios, as one batch of pairs."""
    liked, other = (torch.tensor(r, dtype=torch.float64, requires_grad=True) for r in (chosen, rejected))
    ratios = torch.cat([liked, other])[:, None]
    pairs = torch.arange(len(chosen))
    streams = {
        "logprobs": ratios,
        "ref_logprobs": torch.zeros_like(ratios),
        "mask": torch.ones_like(ratios, dtype=torch.bool),
        "chosen": pairs,
        "rejected": pairs + len(chosen),
    }
    for name in ("rejected_quantile", "chosen_quantile"):
        streams[name] = STATISTICS[name].whole(*STATISTICS[name].entries(streams)).detach()
    term = aot_unpaired(*(streams[name] for name in objective["aot_unpaired"].reads), **settings)
    return term, liked, other


def test_the_worst_that_is_liked_meets_the_worst_that_is_not() -> None:
    # Places: 0 against −log 3, and 4 against 4. As pairs they were 0 against 4 and 4 against −log 3.
    term, _, _ = of_ratios([0.0, 4.0], [4.0, -math.log(3)], beta=1.0)
    assert term.values.tolist() == pytest.approx([math.log(4 / 3), math.log(2)])


def test_both_sides_of_every_place_have_its_slope() -> None:
    term, liked, other = of_ratios([0.0, 4.0], [4.0, -math.log(3)], beta=1.0)
    up, down = torch.autograd.grad(term.values.sum(), (liked, other))
    assert up.tolist() == pytest.approx([-0.25, -0.5])
    assert down.tolist() == pytest.approx([0.5, 0.25])


@pytest.mark.parametrize("label_smoothing", [0.0, 0.2])
def test_loss_and_gradient_are_those_of_the_sorted_batch(label_smoothing: float) -> None:
    draw = torch.Generator().manual_seed(0)
    chosen, rejected = (torch.randn(9, generator=draw, dtype=torch.float64).tolist() for _ in range(2))
    term, liked, other = of_ratios(chosen, rejected, beta=0.7, label_smoothing=label_smoothing)
    found = torch.autograd.grad(term.values.sum(), (liked, other))
    first, second = (torch.tensor(r, dtype=torch.float64, requires_grad=True) for r in (chosen, rejected))
    margins = 0.7 * (first.sort().values - second.sort().values)
    loss = -((1 - label_smoothing) * logsigmoid(margins) + label_smoothing * logsigmoid(-margins)).sum()
    assert term.values.sum().item() == pytest.approx(loss.item())
    for a, b in zip(found, torch.autograd.grad(loss, (first, second)), strict=True):
        torch.testing.assert_close(a, b)


def test_rewards_are_still_of_the_pairs() -> None:
    term, _, _ = of_ratios([0.0, 4.0], [4.0, -1.0], beta=0.5)
    assert term.metrics["rewards/margins"].tolist() == [-2.0, 2.5]
