"""Length-desensitised DPO."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from truing.objectives._pairs import Beta, cross_entropy, pair_term
from truing.reduce import Term
from truing.registry import objective

__all__ = ["ld_dpo"]


@objective
def ld_dpo(
    logprobs: Tensor,
    ref_logprobs: Tensor,
    mask: Tensor,
    chosen: Tensor,
    rejected: Tensor,
    strength: Tensor,
    *,
    beta: Beta = 0.1,
    alpha: Annotated[float, Field(ge=0, le=1)] = 0.5,
) -> Term:
    """LD-DPO: -log σ(beta·(Δ′chosen − Δ′rejected)), Δ′ = Δ with the tokens beyond the shorter response's length
    weighted by alpha (arXiv:2409.06411).

    What the longer response of a pair says beyond the length of the shorter counts `alpha` times: 1 is DPO, 0 leaves
    the surplus out. Smaller gives shorter answers. A larger `beta` holds the policy nearer the reference. Expected over
    `strength`. Returns `[pairs]`.
    """
    ratios = (logprobs - ref_logprobs).masked_fill(~mask, 0.0)
    position, length = mask.cumsum(1), mask.sum(1)  # the first trained token is at 1
    shared = torch.minimum(length[chosen], length[rejected])[:, None]  # [pairs, 1]

    def desensitised(rows: Tensor) -> Tensor:
        """[pairs]: beta · Δ′ of these rows."""
        surplus = position[rows] > shared
        return beta * torch.where(surplus, alpha * ratios[rows], ratios[rows]).sum(1)

    better, worse = desensitised(chosen), desensitised(rejected)
    values = cross_entropy(better - worse, strength)
    return pair_term(values, better, worse, chosen=chosen, rejected=rejected, logprobs=logprobs, mask=mask)
