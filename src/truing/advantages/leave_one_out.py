"""The advantage of RLOO."""

from __future__ import annotations

from torch import Tensor

from truing.advantages._groups import deviations
from truing.registry import advantage

__all__ = ["leave_one_out"]


@advantage
def leave_one_out(rewards: Tensor, groups: Tensor) -> Tensor:
    """RLOO: A = r − mean reward of the *other* responses of the group (Kool et al. 2019; arXiv:2402.14740).

    Unbiased, because the baseline does not know the response it judges; equal to n/(n − 1)·(r − mean of all n). A
    response without a reward (NaN) has advantage 0 and does not count; so has one that is alone in its group. Returns
    `[rows]`, float32.
    """
    centered, counts = deviations(rewards, groups)
    return (centered * counts / (counts - 1).clamp(min=1)).float()
