"""Generalised advantage estimation."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from torch import Tensor

from truing.advantages._tokens import estimated, whitened
from truing.registry import advantage

__all__ = ["gae"]

Share = Annotated[float, Field(ge=0, le=1)]


@advantage
def gae(
    dense_rewards: Tensor,
    old_values: Tensor,
    mask: Tensor,
    *,
    gamma: Share = 1.0,
    lam: Share = 0.95,
    whiten: bool = True,
    whiten_rewards: bool = False,
) -> dict[str, Tensor]:
    """GAE: A_t = Σ_l (gamma·lam)^l·δ_{t+l}, δ_t = r_t + gamma·V_{t+1} − V_t (arXiv:1506.02438, eq. 16); returns A + V.

    V is 0 after the last token. A smaller `gamma` cares less about what comes later; 1 is right for answers that are
    judged as a whole. A smaller `lam` trusts the value head more: less noise, more bias. `whiten` gives the advantages
    mean 0 and spread 1 over all trained tokens; the returns stay what they are. `whiten_rewards` divides the rewards by
    their spread first, their mean stays (arXiv:2403.17031, sec. 7). Returns `advantages` and `returns`, both
    `[rows, tokens]`, float32.
    """
    rewards = dense_rewards.detach().float().masked_fill(~mask, 0.0)
    if whiten_rewards:
        rewards = whitened(rewards, mask, shift=False)
    values = old_values.detach().float().masked_fill(~mask, 0.0)
    advantages = estimated(rewards, values, mask, gamma, lam)
    returns = (advantages + values).masked_fill(~mask, 0.0)
    return {"advantages": whitened(advantages, mask) if whiten else advantages, "returns": returns}
