"""Kahneman-Tversky optimisation: thumbs, one response at a time."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from truing.objectives._thumbs import desired, thumb_metrics
from truing.reduce import Term
from truing.registry import objective

__all__ = ["kto"]


@objective
def kto(
    logprobs: Tensor,
    ref_logprobs: Tensor,
    mask: Tensor,
    labels: Tensor,
    mismatched_log_ratio: Tensor,
    *,
    beta: Annotated[float, Field(gt=0)] = 0.1,
    desirable_weight: Annotated[float, Field(gt=0)] = 1.0,
    undesirable_weight: Annotated[float, Field(gt=0)] = 1.0,
) -> Term:
    """KTO: λ·(1 − σ(±β·(Δ − z₀))), + for thumbs up and − for thumbs down, Δ = log π − log π_ref summed over a response
    (arXiv:2402.01306, eq. 7).

    z₀ = max(0, `mismatched_log_ratio`) estimates KL(π ‖ π_ref) from responses put after another prompt; it has no
    gradient. A larger `beta` holds the policy nearer the reference and saturates sooner. λ is `desirable_weight` or
    `undesirable_weight`: set them so that the share of each label times its weight stays within 1:1 and 4:3
    (eq. 8). Returns `[rows]`.
    """
    assert logprobs.shape == ref_logprobs.shape == mask.shape
    assert labels.shape == mask.shape[:1]
    assert mismatched_log_ratio.ndim == 0
    log_ratios = (logprobs - ref_logprobs).masked_fill(~mask, 0.0).sum(1)
    baseline = mismatched_log_ratio.detach().clamp(min=0.0)
    up = desired(labels)
    gains = torch.where(up, log_ratios - baseline, baseline - log_ratios)
    weights = torch.where(up, desirable_weight, undesirable_weight)
    values = weights * torch.sigmoid(-beta * gains)  # 1 − σ(x) = σ(−x), without the cancellation

    metrics = thumb_metrics(beta * log_ratios.detach(), labels)
    metrics["kl"] = baseline.to(values.dtype).expand_as(values)
    return Term(values, labels >= 0, metrics=metrics)
