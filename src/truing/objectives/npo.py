"""Negative preference optimisation: unlearn what was thumbed down."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from torch import Tensor
from torch.nn.functional import logsigmoid

from truing.reduce import Term
from truing.registry import objective

__all__ = ["npo"]


@objective
def npo(
    logprobs: Tensor,
    ref_logprobs: Tensor,
    mask: Tensor,
    labels: Tensor,
    *,
    beta: Annotated[float, Field(gt=0)] = 0.1,
) -> Term:
    """NPO: -(2/β)·log σ(−β·Δ) of responses thumbed down, Δ = log π − log π_ref summed over a response
    (arXiv:2404.05868).

    DPO with the chosen response left out. At the reference the gradient is that of log π, plain gradient ascent on
    the likelihood's negative; it fades as the response becomes improbable, sooner with a larger `beta`. As β → 0 it
    never fades. Other responses are not read: add `sft` to hold on to what is wanted. Returns `[rows]`.
    """
    assert logprobs.shape == ref_logprobs.shape == mask.shape
    assert labels.shape == mask.shape[:1]
    rewards = beta * (logprobs - ref_logprobs).masked_fill(~mask, 0.0).sum(1)
    values = -(2 / beta) * logsigmoid(-rewards)
    logps = logprobs.detach().masked_fill(~mask, 0.0).sum(1)
    return Term(values, labels == 0, metrics={"rewards/rejected": rewards.detach(), "logps/rejected": logps})
