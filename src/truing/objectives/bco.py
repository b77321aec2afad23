"""Binary classifier optimisation: thumbs, told apart by the implicit reward."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import logsigmoid

from truing.objectives._thumbs import desired, thumb_metrics
from truing.reduce import Term
from truing.registry import objective

__all__ = ["bco"]


@objective
def bco(
    logprobs: Tensor,
    ref_logprobs: Tensor,
    mask: Tensor,
    labels: Tensor,
    desirable_log_ratio: Tensor,
    undesirable_log_ratio: Tensor,
    *,
    beta: Annotated[float, Field(gt=0)] = 0.1,
    desirable_weight: Annotated[float, Field(gt=0)] = 1.0,
    undesirable_weight: Annotated[float, Field(gt=0)] = 1.0,
) -> Term:
    """BCO: -log σ(±(β·Δ − δ)), + for thumbs up and − for thumbs down, Δ = log π − log π_ref summed over a response
    (arXiv:2404.04656).

    δ = β·(`desirable_log_ratio` + `undesirable_log_ratio`)/2 lies half-way between the mean rewards of both kinds in
    the batch; it has no gradient. A larger `beta` holds the policy nearer the reference. `desirable_weight` and
    `undesirable_weight` multiply the loss of their kind: raise the one of the rarer kind. Returns `[rows]`.
    """
    assert logprobs.shape == ref_logprobs.shape == mask.shape
    assert labels.shape == mask.shape[:1]
    assert desirable_log_ratio.ndim == undesirable_log_ratio.ndim == 0
    rewards = beta * (logprobs - ref_logprobs).masked_fill(~mask, 0.0).sum(1)
    shift = beta * (desirable_log_ratio + undesirable_log_ratio).detach() / 2
    up = desired(labels)
    logits = torch.where(up, rewards - shift, shift - rewards)
    values = -torch.where(up, desirable_weight, undesirable_weight) * logsigmoid(logits)

    metrics = thumb_metrics(rewards.detach(), labels)
    metrics["rewards/shift"] = shift.to(values.dtype).expand_as(values)
    metrics["rewards/accuracies"] = (logits.detach() > 0).to(values.dtype)
    return Term(values, labels >= 0, metrics=metrics)
