"""The hinge loss on log-ratios."""

from __future__ import annotations

import torch
from torch import Tensor

from truing.objectives._pairs import Beta, expected, log_ratios, pair_term
from truing.reduce import Term
from truing.registry import objective

__all__ = ["hinge"]


@objective
def hinge(
    logprobs: Tensor,
    ref_logprobs: Tensor,
    mask: Tensor,
    chosen: Tensor,
    rejected: Tensor,
    strength: Tensor,
    *,
    beta: Beta = 0.1,
) -> Term:
    """Hinge: max(0, 1 − beta·(Δchosen − Δrejected)), Δ = log π − log π_ref summed over a response (hinge-norm of RSO,
    arXiv:2309.06657; without reference: `slic`).

    A pair whose margin has reached 1/beta is left alone. A larger `beta` leaves it alone sooner. Expected over
    `strength`. Returns `[pairs]`.
    """
    rewards = beta * log_ratios(logprobs, ref_logprobs, mask)
    better, worse = rewards[chosen], rewards[rejected]
    values = expected(lambda a, b: torch.relu(1 - (a - b)), better, worse, strength)
    return pair_term(values, better, worse, chosen=chosen, rejected=rejected, logprobs=logprobs, mask=mask)
