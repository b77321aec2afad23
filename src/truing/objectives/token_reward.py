"""A reward at every token, learnt from preferences between responses."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from truing.objectives import _pairs
from truing.reduce import Term
from truing.registry import objective

__all__ = ["token_reward"]


@objective
def token_reward(
    token_rewards: Tensor,
    mask: Tensor,
    chosen: Tensor,
    rejected: Tensor,
    strength: Tensor,
    margin: Tensor,
    *,
    pool: Literal["mean", "sum"] = "mean",
    centering: Annotated[float, Field(ge=0)] = 0.0,
) -> Term:
    """Token reward: −log σ(R_chosen − R_rejected − margin), R the mean or sum of r over a response's tokens (mean:
    arXiv:2306.00398, sec. 2.1; sum: Christiano et al., arXiv:1706.03741, eq. 1).

    `pool` is `mean`, which does not let a long response win by its length, or `sum`, the return of the trajectory. With
    `strength` p it is the expected loss, least at a gap of logit(p); `centering` adds centering times the square of
    R_chosen + R_rejected. Returns `[pairs]`.
    """
    assert token_rewards.shape == mask.shape
    assert chosen.shape == rejected.shape == strength.shape == margin.shape
    scores = _pairs.mean(token_rewards, mask) if pool == "mean" else _pairs.total(token_rewards, mask)
    better, worse = scores[chosen], scores[rejected]
    values = _pairs.cross_entropy(better - worse - margin, strength) + centering * (better + worse) ** 2

    better, worse = better.detach(), worse.detach()
    metrics = {
        "rewards/chosen": better,
        "rewards/rejected": worse,
        "rewards/margins": better - worse,
        "rewards/accuracies": (better > worse).to(values.dtype),
    }
    return Term(values, torch.ones_like(chosen, dtype=torch.bool), chosen, metrics)
