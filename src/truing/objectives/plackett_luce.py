"""List-wise DPO: the Plackett-Luce model of a whole ranking."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor

from truing.objectives._lists import order_metrics, plackett_luce_losses
from truing.ranking import above
from truing.reduce import Term
from truing.registry import objective

__all__ = ["plackett_luce"]


@objective
def plackett_luce(
    logprobs: Tensor,
    ref_logprobs: Tensor,
    mask: Tensor,
    ranks: Tensor,
    groups: Tensor,
    *,
    beta: Annotated[float, Field(gt=0)] = 0.1,
    ties: Literal["skip", "equal"] = "skip",
) -> Term:
    """List-wise DPO: -Σ_i log(exp(u_i) / Σ_j exp(u_j)), j over i and what was ranked below it, u = β·Δ,
    Δ = log π − log π_ref summed over a response (DPO under Plackett-Luce, arXiv:2305.18290, app. A.3).

    A larger `beta` holds the policy nearer the reference. With two responses it is `dpo`. Unranked responses are in no
    choice. `ties`: with `skip` a tie says nothing and tied responses do not compete; with `equal` they do, each against
    all (Breslow), so that the loss is least where they are equally good. Returns a value for each group.
    """
    assert logprobs.shape == ref_logprobs.shape == mask.shape
    assert ranks.shape == groups.shape == mask.shape[:1]
    rewards = beta * (logprobs - ref_logprobs).masked_fill(~mask, 0.0).sum(1)
    values, says, first = plackett_luce_losses(rewards, ranks, groups, ties)
    return Term(values, says, first, order_metrics(rewards, above(ranks, groups), groups))
