"""Weighted preference optimisation."""

from __future__ import annotations

from torch import Tensor

from truing.objectives._pairs import Beta, cross_entropy, log_ratios, mean, pair_term
from truing.reduce import Term
from truing.registry import objective

__all__ = ["wpo"]


@objective
def wpo(
    logprobs: Tensor,
    ref_logprobs: Tensor,
    mask: Tensor,
    chosen: Tensor,
    rejected: Tensor,
    strength: Tensor,
    *,
    beta: Beta = 0.1,
) -> Term:
    """WPO: -w·log σ(beta·(Δchosen − Δrejected)), w = the product of both responses' mean token probability under the
    policy (arXiv:2406.11827, eq. 2).

    Pairs that the policy would hardly say count less, so that old data looks more like the policy's own: w = e^(mean
    log π) of the chosen times that of the rejected one, without gradient. A larger `beta` holds the policy nearer the
    reference. Expected over `strength`. Returns `[pairs]`.
    """
    rewards = beta * log_ratios(logprobs, ref_logprobs, mask)
    better, worse = rewards[chosen], rewards[rejected]
    likely = mean(logprobs.detach(), mask).exp()
    weights = likely[chosen] * likely[rejected]
    values = weights * cross_entropy(better - worse, strength)
    pairs = {"chosen": chosen, "rejected": rejected}
    return pair_term(values, better, worse, **pairs, logprobs=logprobs, mask=mask, extra={"weights": weights})
