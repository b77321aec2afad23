"""Alignment via optimal transport, paired."""

from __future__ import annotations

import torch
from torch import Tensor

from truing.objectives._pairs import Beta, Smoothing, cross_entropy, log_ratios, pair_term, total
from truing.reduce import Term
from truing.registry import objective

__all__ = ["aot"]


@objective
def aot(
    logprobs: Tensor,
    ref_logprobs: Tensor,
    mask: Tensor,
    chosen: Tensor,
    rejected: Tensor,
    reference_quantile: Tensor,
    *,
    beta: Beta = 0.1,
    label_smoothing: Smoothing = 0.0,
) -> Term:
    """AOT, paired: -log σ(beta·(M₍ᵢ₎ − M_ref₍ᵢ₎)), each sorted over the batch (arXiv:2406.05882).

    M is log π(chosen) − log π(rejected), M_ref that of the reference. The policy's margins as a whole are to be larger
    than the reference's: the smallest than the smallest, the largest than the largest, whichever pair they are of.
    `reference_quantile` is the reference's margin at this pair's place; it has no gradient. A batch of one pair is DPO.
    A larger `beta` saturates at smaller differences. `label_smoothing` is the share of labels thought to be wrong.
    Returns `[pairs]`.
    """
    assert reference_quantile.shape == chosen.shape
    said, rewards = total(logprobs, mask), beta * log_ratios(logprobs, ref_logprobs, mask)
    margins = beta * (said[chosen] - said[rejected] - reference_quantile.detach())
    values = cross_entropy(margins, torch.full_like(margins, 1 - label_smoothing))
    return pair_term(
        values, rewards[chosen], rewards[rejected], chosen=chosen, rejected=rejected, logprobs=logprobs, mask=mask
    )
