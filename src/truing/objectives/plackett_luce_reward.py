"""The Plackett-Luce reward model: whole rankings of K."""

from __future__ import annotations

from typing import Annotated, Literal

import torch
from pydantic import Field
from torch import Tensor

from truing.objectives._lists import group_sum, order_metrics, plackett_luce_losses
from truing.ranking import above
from truing.reduce import Term
from truing.registry import objective

__all__ = ["plackett_luce_reward"]


@objective
def plackett_luce_reward(
    rewards: Tensor,
    ranks: Tensor,
    groups: Tensor,
    *,
    ties: Literal["skip", "equal"] = "skip",
    centering: Annotated[float, Field(ge=0)] = 0.0,
) -> Term:
    """Plackett-Luce: -Σ_i log(exp(r_i) / Σ_j exp(r_j)), j over i and what was ranked below it (Plackett 1975,
    doi:10.2307/2346567; K-wise reward models: arXiv:2301.11270).

    With two responses it is `bradley_terry`. Unranked responses are in no choice. `ties`: with `skip` a tie says
    nothing; with `equal` tied responses compete, each against all (Breslow), and are pulled together. `centering` adds
    centering·(Σ of the ranked rewards)², which keeps a group's rewards around 0. Returns a value for each group.
    """
    assert rewards.shape == ranks.shape == groups.shape
    values, says, first = plackett_luce_losses(rewards, ranks, groups, ties)
    total, _ = group_sum(torch.where(ranks > 0, rewards, 0.0), groups)
    values = values + centering * total**2
    return Term(values, says, first, order_metrics(rewards, above(ranks, groups), groups))
