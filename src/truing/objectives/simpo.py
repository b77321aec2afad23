"""Simple preference optimisation."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from torch import Tensor

from truing.objectives._pairs import Beta, Smoothing, cross_entropy, mean, pair_term, smoothed
from truing.reduce import Term
from truing.registry import objective

__all__ = ["simpo"]


@objective
def simpo(
    logprobs: Tensor,
    mask: Tensor,
    chosen: Tensor,
    rejected: Tensor,
    strength: Tensor,
    *,
    beta: Beta = 2.0,
    gamma: Annotated[float, Field(ge=0)] = 1.0,
    label_smoothing: Smoothing = 0.0,
) -> Term:
    """SimPO: -log σ(r_chosen − r_rejected − gamma), r = beta · mean over tokens of log π (arXiv:2405.14734, eq. 6).

    No reference, and the mean takes away the advantage of length. A larger `beta` makes small differences of likelihood
    count; `gamma` is the margin aimed at, 0.25 to 1.6 in the authors' settings. With p = `strength` smoothed by
    `label_smoothing`, the cross-entropy of p against σ(r_chosen − r_rejected − gamma). Returns `[pairs]`.
    """
    rewards = beta * mean(logprobs, mask)
    better, worse = rewards[chosen], rewards[rejected]
    values = cross_entropy(better - worse - gamma, smoothed(strength, label_smoothing))
    return pair_term(values, better, worse, chosen=chosen, rejected=rejected, logprobs=logprobs, mask=mask)
