"""Alignment via optimal transport, unpaired."""

from __future__ import annotations

import torch
from torch import Tensor

from truing.objectives._pairs import Beta, Smoothing, cross_entropy, log_ratios, pair_term
from truing.reduce import Term
from truing.registry import objective

__all__ = ["aot_unpaired"]


@objective
def aot_unpaired(
    logprobs: Tensor,
    ref_logprobs: Tensor,
    mask: Tensor,
    chosen: Tensor,
    rejected: Tensor,
    rejected_quantile: Tensor,
    chosen_quantile: Tensor,
    *,
    beta: Beta = 0.1,
    label_smoothing: Smoothing = 0.0,
) -> Term:
    """AOT, unpaired: -log σ(beta·(Δchosen₍ᵢ₎ − Δrejected₍ᵢ₎)), each sorted over the batch (arXiv:2406.05882).

    Δ is log π − log π_ref of a response. All that is liked as a whole is to lie above all that is not: the worst liked
    response above the worst of the others, the best above the best, whatever prompt they answer. `rejected_quantile` is
    what the chosen one of a pair meets there and `chosen_quantile` what its rejected one meets; neither has a gradient.
    A larger `beta` holds the policy nearer the reference. `label_smoothing` is the share of labels thought to be wrong.
    Returns `[pairs]`.
    """
    assert rejected_quantile.shape == chosen_quantile.shape == chosen.shape
    ratios = log_ratios(logprobs, ref_logprobs, mask)
    better, worse = ratios[chosen], ratios[rejected]

    def loss(margins: Tensor) -> Tensor:
        return cross_entropy(beta * margins, torch.full_like(margins, 1 - label_smoothing))

    # Each term of the sum over places is met twice, by its chosen and by its rejected one, each with a gradient of its
    # own; the second time for the gradient alone.
    again = loss(chosen_quantile.detach() - worse)
    values = loss(better - rejected_quantile.detach()) + again - again.detach()
    rewards = beta * ratios
    return pair_term(
        values, rewards[chosen], rewards[rejected], chosen=chosen, rejected=rejected, logprobs=logprobs, mask=mask
    )
