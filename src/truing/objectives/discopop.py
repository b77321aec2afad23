"""Discovered preference optimisation."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import logsigmoid

from truing.objectives._pairs import Beta, bounded_exp, expected, log_ratios, pair_term
from truing.reduce import Term
from truing.registry import objective

__all__ = ["discopop"]


@objective
def discopop(
    logprobs: Tensor,
    ref_logprobs: Tensor,
    mask: Tensor,
    chosen: Tensor,
    rejected: Tensor,
    strength: Tensor,
    *,
    beta: Beta = 0.05,
    tau: Annotated[float, Field(gt=0)] = 0.05,
) -> Term:
    """DiscoPOP: (1 − w)·(-log σ(m)) + w·e^−m, w = σ(m/tau), m = beta·(Δchosen − Δrejected) (log-ratio modulated loss,
    arXiv:2406.08414, eq. 5).

    Found by a language model that was asked for losses. Logistic below a margin of 0 and exponential above; between
    them it is *not* convex, with a hump at small margins. `tau` is the width of the change. A larger `beta` holds the
    policy nearer the reference. e^−m beyond e^20 goes on as a straight line. Expected over `strength`. Returns
    `[pairs]`.
    """
    rewards = beta * log_ratios(logprobs, ref_logprobs, mask)
    better, worse = rewards[chosen], rewards[rejected]

    def loss(a: Tensor, b: Tensor) -> Tensor:
        margins = a - b
        share = torch.sigmoid(margins / tau)
        return (1 - share) * -logsigmoid(margins) + share * bounded_exp(-margins)

    values = expected(loss, better, worse, strength)
    return pair_term(values, better, worse, chosen=chosen, rejected=rejected, logprobs=logprobs, mask=mask)
