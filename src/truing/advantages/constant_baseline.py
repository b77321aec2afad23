"""The advantage of a reward whose middle is known."""

from __future__ import annotations

from torch import Tensor

from truing.registry import advantage

__all__ = ["constant_baseline"]


@advantage
def constant_baseline(rewards: Tensor, *, value: float = 0.5) -> Tensor:
    """A = r − value: the probability of being preferred, less 1/2 (Nash-MD, arXiv:2312.00886).

    `value` is the reward that an average response is known to have: a number that does not depend on the response
    takes nothing from the policy gradient but noise. A response without a reward (NaN) has advantage 0. Returns
    `[rows]`, float32.
    """
    return (rewards.detach().double() - value).nan_to_num(0.0).float()
