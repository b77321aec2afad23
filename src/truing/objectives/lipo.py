"""LiPO-λ: pairs of a ranking, weighted by what swapping them would cost."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import logsigmoid

from truing.objectives._lists import group_sum, order_metrics
from truing.ranking import above
from truing.reduce import Term
from truing.registry import objective

__all__ = ["lipo"]


@objective
def lipo(
    logprobs: Tensor,
    ref_logprobs: Tensor,
    mask: Tensor,
    ranks: Tensor,
    groups: Tensor,
    *,
    beta: Annotated[float, Field(gt=0)] = 0.05,
) -> Term:
    """LiPO-λ: -Σ over pairs with i above j of w_ij·log σ(s_i − s_j), s = β·Δ, Δ = log π − log π_ref summed over a
    response; w_ij = |2^ψ_i − 2^ψ_j|·|1/log(1 + τ_i) − 1/log(1 + τ_j)| (arXiv:2402.01878, eq. 8).

    ψ is a response's share of ranked others that it was put above, 0 to 1; τ its place by the policy's s, 1 = first.
    So pairs count that differ much and stand near the top. The weights have no gradient. A larger `beta` holds the
    policy nearer the reference. Returns a value for each group.
    """
    assert logprobs.shape == ref_logprobs.shape == mask.shape
    assert ranks.shape == groups.shape == mask.shape[:1]
    scores = beta * (logprobs - ref_logprobs).masked_fill(~mask, 0.0).sum(1)
    better = above(ranks, groups)
    weights = lambda_weights(scores.detach(), ranks, groups)
    losses = -weights * logsigmoid(scores[:, None] - scores[None, :])
    values, first = group_sum(torch.where(better, losses, 0.0).sum(1), groups)
    pairs, _ = group_sum(better.sum(1), groups)
    return Term(values, pairs > 0, first, order_metrics(scores, better, groups))


def lambda_weights(scores: Tensor, ranks: Tensor, groups: Tensor) -> Tensor:
    """w_ij `[rows, rows]`, symmetric. Equal scores (all, at the start) take their places as people ranked them."""
    better = above(ranks, groups)
    ranked = (ranks > 0)[None, :] & (ranks > 0)[:, None] & (groups[:, None] == groups[None, :])
    others = (ranked.sum(1) - 1).clamp(min=1)
    gains = 2.0 ** (better.sum(1) / others).to(scores.dtype)
    ahead = (scores[None, :] > scores[:, None]) | ((scores[None, :] == scores[:, None]) & better.T)
    places = 1 + (ranked & ahead).sum(1)
    discounts = 1 / torch.log1p(places.to(scores.dtype))
    return (gains[:, None] - gains[None, :]).abs() * (discounts[:, None] - discounts[None, :]).abs()
