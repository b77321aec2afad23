"""SimPO with another shape of reward."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from torch import Tensor

from truing.objectives._pairs import Beta, bounded_exp, cross_entropy, mean, pair_term
from truing.reduce import Term
from truing.registry import objective

__all__ = ["alpha_po"]


@objective
def alpha_po(
    logprobs: Tensor,
    mask: Tensor,
    chosen: Tensor,
    rejected: Tensor,
    strength: Tensor,
    *,
    beta: Beta = 2.5,
    gamma: Annotated[float, Field(ge=0)] = 0.1,
    alpha: Annotated[float, Field(gt=0)] = 0.25,
) -> Term:
    """AlphaPO: -log σ(r_chosen − r_rejected − gamma), r = beta·(1 − P^−alpha)/alpha, log P = mean over tokens of log π
    (arXiv:2501.03884).

    With `alpha` towards 0 this is `simpo`. A larger `alpha` makes improbable responses worth less and probable ones
    hardly more, so that the chosen one is less easily given up. `beta` scales rewards, `gamma` is the margin aimed at.
    P^−alpha beyond e^20 goes on as a straight line in log P. Expected over `strength`. Returns `[pairs]`.
    """
    rewards = beta * (1 - bounded_exp(-alpha * mean(logprobs, mask))) / alpha
    better, worse = rewards[chosen], rewards[rejected]
    values = cross_entropy(better - worse - gamma, strength)
    return pair_term(values, better, worse, chosen=chosen, rejected=rejected, logprobs=logprobs, mask=mask)
