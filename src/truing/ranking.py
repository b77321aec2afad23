"""Who was put above whom, and what that makes of each response: shared by objectives and advantages."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["above", "rank_advantages", "same_group"]


def same_group(groups: Tensor, said: Tensor) -> Tensor:
    """bool `[rows, rows]`: both rows are of one group and something was `said` (bool `[rows]`) about both."""
    return (groups[:, None] == groups[None, :]) & said[:, None] & said[None, :]


def above(ranks: Tensor, groups: Tensor) -> Tensor:
    """bool `[rows, rows]`: the first was put above the second. Ties and unranked rows (0) are in no such pair."""
    return same_group(groups, ranks > 0) & (ranks[:, None] < ranks[None, :])


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
