"""The advantage of REINFORCE with a baseline."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from truing.registry import advantage

__all__ = ["batch_mean"]


@advantage
def batch_mean(rewards: Tensor, *, scale: Literal["none", "batch"] = "none") -> Tensor:
    """REINFORCE with the mean reward of the batch as its baseline: A = r − mean (Williams 1992,
    doi:10.1007/BF00992696).

    Prompts on which every answer is good stay above it and prompts that are hard below: compare within groups
    (`group_mean`, `leave_one_out`) where there are several answers to each. `scale`: `batch` divides by the spread, so
    that the size of rewards does not matter; `none` does not. A response without a reward (NaN) has advantage 0 and
    does not count. Returns `[rows]`, float32.
    """
    known = ~rewards.isnan()
    given = rewards.detach().double()[known]
    if not given.numel():
        return rewards.detach().new_zeros(rewards.shape).float()
    out = (rewards.detach().double() - given.mean()).masked_fill(~known, 0.0)
    spread = given.std(correction=0)
    if scale == "batch" and spread > 0:
        out = out / spread
    return out.float()
