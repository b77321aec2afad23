"""Efficient exact optimisation."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import logsigmoid

from truing.objectives._pairs import Beta, log_ratios, pair_term, smoothed
from truing.reduce import Term
from truing.registry import objective

__all__ = ["exo"]


@objective
def exo(
    logprobs: Tensor,
    ref_logprobs: Tensor,
    mask: Tensor,
    chosen: Tensor,
    rejected: Tensor,
    strength: Tensor,
    *,
    beta: Beta = 0.1,
    label_smoothing: Annotated[float, Field(gt=0, lt=0.5)] = 1e-3,
) -> Term:
    """EXO: KL(q ‖ p), q = σ(beta·(Δchosen − Δrejected)) and p = 1 − label_smoothing that the chosen one is better
    (arXiv:2402.00856, eq. 16).

    DPO minimises the divergence the other way round, KL(p ‖ q), and spreads the policy over everything good; this order
    makes it settle on the best, as reinforcement learning does. p must not be 1, hence `label_smoothing`: smaller asks
    for a larger margin, logit(p). A larger `beta` holds the policy nearer the reference. p is softened by `strength` as
    in `dpo`. Returns `[pairs]`.
    """
    rewards = beta * log_ratios(logprobs, ref_logprobs, mask)
    better, worse = rewards[chosen], rewards[rejected]
    margins = better - worse
    # 1 − p by its own formula: as a difference it would lose digits where p is nearly 1.
    log_p, log_not_p = smoothed(strength, label_smoothing).log(), smoothed(1 - strength, label_smoothing).log()
    wins = torch.sigmoid(margins) * (logsigmoid(margins) - log_p)
    values = wins + torch.sigmoid(-margins) * (logsigmoid(-margins) - log_not_p)
    return pair_term(values, better, worse, chosen=chosen, rejected=rejected, logprobs=logprobs, mask=mask)
