"""Group-rank: each response is pushed up or down by its place in the ranking."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from truing.ranking import above, rank_advantages, same_group
from truing.reduce import Term
from truing.registry import objective

__all__ = ["group_rank"]


@objective
def group_rank(
    logprobs: Tensor,
    ref_logprobs: Tensor,
    mask: Tensor,
    ranks: Tensor,
    groups: Tensor,
    *,
    advantage: Literal["rank", "exponential", "tournament"] = "rank",
    decay: Annotated[float, Field(gt=0)] = 0.5,
    standardise: bool = False,
) -> Term:
    """Group-rank: -A·Δ, Δ = log π − log π_ref summed over a response, A made of its place r among K (Williams 1992,
    doi:10.1007/BF00992696, with ranks in place of rewards; the advantages are from no paper).

    `advantage`: `rank` is (K + 1 − 2r)/K, `exponential` exp(−decay·(r − 1)), `tournament` the number of responses
    below less the number above; each less its mean in the group. A larger `decay` leaves the weight to the first
    places. `standardise` divides by the group's spread, so that every group pushes as hard. Unranked responses, and
    groups that are tied throughout, are left out. Returns `[rows]`.
    """
    assert logprobs.shape == ref_logprobs.shape == mask.shape
    assert ranks.shape == groups.shape == mask.shape[:1]
    log_ratios = (logprobs - ref_logprobs).masked_fill(~mask, 0.0).sum(1)
    better = above(ranks, groups)
    gains = rank_advantages(ranks, groups, advantage, decay, standardise).to(log_ratios.dtype)
    told_apart = (same_group(groups, ranks > 0) & better.any(1)[None, :]).any(1)
    values = -gains * log_ratios

    up = gains > 0
    metrics = {
        "log_ratio/above": torch.where(up, log_ratios.detach(), float("nan")),
        "log_ratio/below": torch.where(gains < 0, log_ratios.detach(), float("nan")),
    }
    return Term(values, told_apart, metrics=metrics)
