"""Anchored preference optimisation, upwards."""

from __future__ import annotations

import torch
from torch import Tensor

from truing.objectives._pairs import Beta, expected, log_ratios, pair_term
from truing.reduce import Term
from truing.registry import objective

__all__ = ["apo_zero"]


@objective
def apo_zero(
    logprobs: Tensor,
    ref_logprobs: Tensor,
    mask: Tensor,
    chosen: Tensor,
    rejected: Tensor,
    strength: Tensor,
    *,
    beta: Beta = 0.1,
) -> Term:
    """APO-zero: σ(−r_chosen) + σ(r_rejected), r = beta·Δ, Δ = log π − log π_ref summed over a response
    (arXiv:2408.06266, eq. 7).

    The chosen response rises above the reference and the rejected one falls below: for data whose chosen responses are
    *better* than what the model says. A larger `beta` holds the policy nearer the reference. Expected over `strength`.
    Returns `[pairs]`.
    """
    rewards = beta * log_ratios(logprobs, ref_logprobs, mask)
    better, worse = rewards[chosen], rewards[rejected]
    values = expected(lambda a, b: torch.sigmoid(-a) + torch.sigmoid(b), better, worse, strength)
    return pair_term(values, better, worse, chosen=chosen, rejected=rejected, logprobs=logprobs, mask=mask)
