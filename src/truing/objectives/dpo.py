"""Direct preference optimisation."""

from __future__ import annotations

from torch import Tensor

from truing.objectives._pairs import Beta, Smoothing, cross_entropy, log_ratios, pair_term, smoothed
from truing.reduce import Term
from truing.registry import objective

__all__ = ["dpo"]


@objective
def dpo(
    logprobs: Tensor,
    ref_logprobs: Tensor,
    mask: Tensor,
    chosen: Tensor,
    rejected: Tensor,
    strength: Tensor,
    *,
    beta: Beta = 0.1,
    label_smoothing: Smoothing = 0.0,
) -> Term:
    """DPO: -log σ(β·(Δchosen − Δrejected)), Δ = log π − log π_ref summed over a response (arXiv:2305.18290, eq. 7).

    A larger `beta` holds the policy nearer the reference. With m = β·(Δchosen − Δrejected) and
    p = strength·(1 − label_smoothing) + (1 − strength)·label_smoothing the loss is
    p·(-log σ(m)) + (1 − p)·(-log σ(−m)), least at m = logit(p): a soft label for a pair that is preferred with
    probability `strength`; `label_smoothing` alone, the share of labels thought to be wrong, is conservative DPO
    (Mitchell, "A note on DPO with noisy preferences", 2023). Returns `[pairs]`.
    """
    rewards = beta * log_ratios(logprobs, ref_logprobs, mask)
    better, worse = rewards[chosen], rewards[rejected]
    values = cross_entropy(better - worse, smoothed(strength, label_smoothing))
    return pair_term(values, better, worse, chosen=chosen, rejected=rejected, logprobs=logprobs, mask=mask)
