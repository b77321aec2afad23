"""The process reward model: is this step right?"""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import binary_cross_entropy_with_logits

from truing.reduce import Term
from truing.registry import objective

__all__ = ["process_reward"]


@objective
def process_reward(
    token_rewards: Tensor,
    step_labels: Tensor,
    mask: Tensor,
    *,
    neutral: Annotated[float, Field(ge=0, le=1)] = 0.5,
) -> Term:
    """Process reward: −p·log σ(r) − (1 − p)·log σ(−r) at the last token of every step (Math-Shepherd,
    arXiv:2312.08935, eq. 2; Let's Verify Step by Step, arXiv:2305.20050, sec. 2.6).

    r is the reward head there and p = `step_labels` the probability that the step is right: 1 or 0 (hard), or between
    (soft: several annotators, a share of rollouts that succeed). `neutral` is what 0.5, a step marked neutral, stands
    for: 1 counts it as right. Steps that nobody judged do not count. Returns `[rows, tokens]`.
    """
    assert token_rewards.shape == step_labels.shape == mask.shape
    judged = mask & ~step_labels.isnan()
    logits = token_rewards.masked_fill(~judged, 0.0)
    targets = step_labels.masked_fill(~judged, 0.0).to(logits.dtype)
    targets = torch.where(targets == 0.5, neutral, targets)
    values = binary_cross_entropy_with_logits(logits, targets, reduction="none")

    logits = logits.detach()
    metrics = {
        "steps/probability": logits.sigmoid(),
        "steps/right": targets,
        "steps/accuracies": ((logits > 0) == (targets >= 0.5)).to(values.dtype),
    }
    return Term(values, judged, metrics=metrics)
