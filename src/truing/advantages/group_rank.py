"""Advantages from places in the group, whatever the rewards' size."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from truing.ranking import rank_advantages
from truing.registry import advantage

__all__ = ["group_rank"]


@advantage
def group_rank(
    rewards: Tensor,
    groups: Tensor,
    *,
    by: Literal["rank", "exponential", "tournament"] = "rank",
    decay: Annotated[float, Field(gt=0)] = 0.5,
    standardise: bool = False,
) -> Tensor:
    """Group-rank: A of the place r among the K responses of a group, 1 = highest reward, less the mean of the group
    (REINFORCE, doi:10.1007/BF00992696, with places for rewards: from no paper that we know of; offline: objective
    `group_rank`).

    `by`: `rank` is (K + 1 − 2r)/K, `exponential` exp(−`decay`·(r − 1)), `tournament` responses below less responses
    above. Only the order of rewards counts: for judges that can compare and not measure, and for rewards with outliers.
    `standardise` divides by the group's spread. Ties share their places. A response without a reward (NaN) has
    advantage 0. Returns `[rows]`, float32.
    """
    known = ~rewards.isnan()
    # A place in the whole batch orders each group as well: 1 = highest, 0 = no reward.
    worths = torch.unique(rewards.detach()[known])
    ranks = torch.zeros(rewards.shape, dtype=torch.long, device=rewards.device)
    ranks[known] = len(worths) - torch.searchsorted(worths, rewards.detach()[known])
    return rank_advantages(ranks, groups, by, decay, standardise).float()
