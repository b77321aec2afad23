"""DPO for labels of which a known share is wrong."""

from __future__ import annotations

from torch import Tensor

from truing.objectives._pairs import Beta, Smoothing, cross_entropy, log_ratios, pair_term
from truing.reduce import Term
from truing.registry import objective

__all__ = ["robust_dpo"]


@objective
def robust_dpo(
    logprobs: Tensor,
    ref_logprobs: Tensor,
    mask: Tensor,
    chosen: Tensor,
    rejected: Tensor,
    strength: Tensor,
    *,
    beta: Beta = 0.1,
    label_smoothing: Smoothing = 0.1,
) -> Term:
    """Robust DPO: ((1 − ε)·ℓ(m) − ε·ℓ(−m)) / (1 − 2ε), ℓ(m) = -log σ(m), m = beta·(Δchosen − Δrejected)
    (arXiv:2403.00409, sec. 3.1).

    Averaged over labels flipped with probability ε = `label_smoothing`, this is the DPO loss of the clean labels:
    unbiased, where conservative DPO (`dpo` with label smoothing) is not. It has no lower bound in a single pair, and
    its variance grows with ε. A larger `beta` holds the policy nearer the reference. Expected over `strength`: the
    weight of ℓ(m) is (strength − ε)/(1 − 2ε). Returns `[pairs]`.
    """
    rewards = beta * log_ratios(logprobs, ref_logprobs, mask)
    better, worse = rewards[chosen], rewards[rejected]
    values = cross_entropy(better - worse, (strength - label_smoothing) / (1 - 2 * label_smoothing))
    return pair_term(values, better, worse, chosen=chosen, rejected=rejected, logprobs=logprobs, mask=mask)
