"""The advantage of REINFORCE++."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor

from truing.advantages._groups import deviations
from truing.advantages._tokens import to_go, whitened
from truing.registry import advantage

__all__ = ["reinforce_pp"]


@advantage
def reinforce_pp(
    dense_rewards: Tensor,
    rewards: Tensor,
    groups: Tensor,
    mask: Tensor,
    *,
    baseline: Literal["none", "group"] = "none",
    gamma: Annotated[float, Field(ge=0, le=1)] = 1.0,
) -> Tensor:
    """REINFORCE++: A_t = Σ_{i ≥ t} gamma^(i−t)·r_i, then mean 0 and spread 1 over all tokens of the batch
    (arXiv:2501.03262).

    `r` holds the KL penalty of each token, so a token is charged with the distance that comes after it, not before; a
    `gamma` under 1 lets what is far off count less. No group is needed: one response a prompt will do.
    `baseline`: `group` takes the mean reward of the group off first (REINFORCE++-baseline), for rewards of 0 and 1.
    Returns `[rows, tokens]`, float32; 0 for a response without a reward.
    """
    given = dense_rewards.detach().float().masked_fill(~mask, 0.0)
    if baseline == "group":
        centered, _ = deviations(rewards, groups)
        shift = (rewards.detach().nan_to_num(0.0).double() - centered).float()
        credit = to_go(given, mask, gamma) - shift[:, None]
    else:
        credit = to_go(given, mask, gamma)
    return whitened(credit.masked_fill(~mask, 0.0), mask)
