"""Weighted preference optimisation."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor

from truing.objectives._pairs import Beta, cross_entropy, log_ratios, mean, pair_term
from truing.reduce import Term
from truing.registry import objective

__all__ = ["wpo"]


@objective
def wpo(
    logprobs: Tensor,
    ref_logprobs: Tensor,
    collision_logprobs: Tensor,
    mask: Tensor,
    chosen: Tensor,
    rejected: Tensor,
    strength: Tensor,
    *,
    beta: Beta = 0.1,
    alignment: Literal["sampled", "none"] = "sampled",
    max_weight: Annotated[float, Field(gt=0)] | None = None,
) -> Term:
    """WPO: -w·log σ(beta·(Δchosen − Δrejected)), w = how probable the policy finds both (arXiv:2406.11827, eq. 2).

    w is the product over both responses of e^(mean over tokens of log π − log Σ_v π(v)²) (sec. 3.2). Pairs that the
    policy would hardly say count less, so that old data looks more like the policy's own. Σ_v π(v)² is what a token
    drawn from the policy would have for its probability on average: `alignment` `sampled` divides by it, so that the
    policy's own samples weigh about 1 wherever it is unsure; `none` leaves the bare probabilities, which are small
    there. w has no gradient; above `max_weight` it is cut. A larger `beta` holds the policy nearer the reference.
    Expected over `strength`. Returns `[pairs]`.
    """
    assert collision_logprobs.shape == mask.shape
    rewards = beta * log_ratios(logprobs, ref_logprobs, mask)
    better, worse = rewards[chosen], rewards[rejected]
    own = logprobs if alignment == "none" else logprobs - collision_logprobs
    likely = mean(own.detach(), mask).exp()
    weights = likely[chosen] * likely[rejected]
    if max_weight is not None:
        weights = weights.clamp(max=max_weight)
    values = weights * cross_entropy(better - worse, strength)
    pairs = {"chosen": chosen, "rejected": rejected}
    return pair_term(values, better, worse, **pairs, logprobs=logprobs, mask=mask, extra={"weights": weights})
