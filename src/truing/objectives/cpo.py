"""Contrastive preference optimisation."""

from __future__ import annotations

from torch import Tensor

from truing.objectives._pairs import Beta, Smoothing, cross_entropy, pair_term, smoothed, total
from truing.reduce import Term
from truing.registry import objective

__all__ = ["cpo"]


@objective
def cpo(
    logprobs: Tensor,
    mask: Tensor,
    chosen: Tensor,
    rejected: Tensor,
    strength: Tensor,
    *,
    beta: Beta = 0.1,
    label_smoothing: Smoothing = 0.0,
) -> Term:
    """CPO: -log σ(beta·(log π(chosen) − log π(rejected))), summed over a response (arXiv:2401.08417, eq. 3).

    DPO with a uniform reference, so that none has to run. The preference term alone: the method adds `sft` with weight
    1, which keeps the policy near the data. A larger `beta` saturates at smaller differences. With p = `strength`
    smoothed by `label_smoothing`, the cross-entropy of p. Returns `[pairs]`.
    """
    rewards = beta * total(logprobs, mask)
    better, worse = rewards[chosen], rewards[rejected]
    values = cross_entropy(better - worse, smoothed(strength, label_smoothing))
    return pair_term(values, better, worse, chosen=chosen, rejected=rejected, logprobs=logprobs, mask=mask)
