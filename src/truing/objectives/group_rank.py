"""Group-rank: each response is pushed up or down by its place in the ranking."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from truing.objectives._lists import above, same_group
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
    doi:10.1007/BF00992696, with ranks in place of rewards).

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


def rank_advantages(ranks: Tensor, groups: Tensor, advantage: str, decay: float, standardise: bool) -> Tensor:
    """Advantages `[rows]`, float64, of mean 0 over the ranked of each group; 0 where unranked.

    Tied responses share the mean of the places that they take: 1, 1, 3 and 1, 1, 2 both are 1.5, 1.5, 3.
    """
    better = above(ranks, groups)
    ranked = ranks > 0
    same = same_group(groups, ranked)
    number = same.sum(1).clamp(min=1).to(torch.float64)
    wins, losses = better.sum(1).to(torch.float64), better.sum(0).to(torch.float64)
    places = (losses - wins + number + 1) / 2  # above + 1 + half of the ties
    gains = {
        "rank": (number + 1 - 2 * places) / number,
        "exponential": (-decay * (places - 1)).exp(),
        "tournament": wins - losses,
    }[advantage].masked_fill(~ranked, 0.0)
    gains = (gains - (same * gains[None, :]).sum(1) / number).masked_fill(~ranked, 0.0)
    if standardise:
        spread = ((same * gains[None, :] ** 2).sum(1) / number).sqrt()
        gains = gains / torch.where(spread > 0, spread, 1.0)
    return gains
