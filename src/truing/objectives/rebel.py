"""REBEL: regression of score differences on the implicit reward."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from truing.reduce import Term
from truing.registry import objective

__all__ = ["rebel"]


@objective
def rebel(
    logprobs: Tensor,
    ref_logprobs: Tensor,
    mask: Tensor,
    scores: Tensor,
    groups: Tensor,
    *,
    beta: Annotated[float, Field(gt=0)] = 0.1,
) -> Term:
    """REBEL: (β·(Δ_i − Δ_j) − (score_i − score_j))² over the pairs of a group, Δ = log π − log π_ref summed over a
    response (arXiv:2404.16767, algorithm 1, with β for 1/η).

    The implicit reward β·Δ learns to differ as the scores do; what the prompt adds to all scores of a group drops
    out. A larger `beta` holds the policy nearer the reference: a difference of one point asks for a log-ratio of 1/β.
    Responses without a score are left out. Returns `[pairs]`.
    """
    assert logprobs.shape == ref_logprobs.shape == mask.shape
    assert scores.shape == groups.shape == mask.shape[:1]
    rewards = beta * (logprobs - ref_logprobs).masked_fill(~mask, 0.0).sum(1)
    scored = ~scores.isnan()
    both = (groups[:, None] == groups[None, :]) & scored[:, None] & scored[None, :]
    first, second = both.triu(1).nonzero(as_tuple=True)
    gaps, given = rewards[first] - rewards[second], (scores[first] - scores[second]).to(rewards.dtype)
    values = (gaps - given) ** 2

    gaps = gaps.detach()
    differ = given != 0
    metrics = {
        "rewards/margins": torch.where(differ, gaps * given.sign(), float("nan")),
        "rewards/accuracies": torch.where(differ, (gaps * given > 0).to(gaps.dtype), float("nan")),
    }
    return Term(values, torch.ones_like(first, dtype=torch.bool), first, metrics)
