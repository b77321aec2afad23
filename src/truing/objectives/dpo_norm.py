"""DPO on mean log-ratios."""

from __future__ import annotations

from torch import Tensor

from truing.objectives._pairs import Beta, Smoothing, cross_entropy, mean, pair_term, smoothed
from truing.reduce import Term
from truing.registry import objective

__all__ = ["dpo_norm"]


@objective
def dpo_norm(
    logprobs: Tensor,
    ref_logprobs: Tensor,
    mask: Tensor,
    chosen: Tensor,
    rejected: Tensor,
    strength: Tensor,
    *,
    beta: Beta = 5.0,
    label_smoothing: Smoothing = 0.0,
) -> Term:
    """Length-normalised DPO: -log σ(beta·(Δ̄chosen − Δ̄rejected)), Δ̄ = mean over a response's tokens of log π − log
    π_ref (Tülu 3, arXiv:2411.15124, sec. 5).

    `dpo` with a mean for the sum: length no longer makes a reward large. Means are smaller than sums, so `beta` is
    larger: 2 to 10. It holds the policy near the reference. `strength` and `label_smoothing` as in `dpo`. Returns
    `[pairs]`.
    """
    assert logprobs.shape == ref_logprobs.shape
    rewards = beta * mean(logprobs - ref_logprobs, mask)
    better, worse = rewards[chosen], rewards[rejected]
    values = cross_entropy(better - worse, smoothed(strength, label_smoothing))
    return pair_term(values, better, worse, chosen=chosen, rejected=rejected, logprobs=logprobs, mask=mask)
