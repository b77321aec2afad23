"""Direct preference optimisation."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import logsigmoid

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
    beta: Annotated[float, Field(gt=0)] = 0.1,
    label_smoothing: Annotated[float, Field(ge=0, lt=0.5)] = 0.0,
) -> Term:
    """DPO: -log σ(β·(Δchosen − Δrejected)), Δ = log π − log π_ref summed over a response (arXiv:2305.18290, eq. 7).

    A larger `beta` holds the policy nearer the reference. With m = β·(Δchosen − Δrejected) and
    p = strength·(1 − label_smoothing) + (1 − strength)·label_smoothing the loss is
    p·(-log σ(m)) + (1 − p)·(-log σ(−m)), least at m = logit(p): a soft label for a pair that is preferred with
    probability `strength`; `label_smoothing` alone, the share of labels thought to be wrong, is conservative DPO
    (Mitchell, "A note on DPO with noisy preferences", 2023). Returns `[pairs]`.
    """
    assert logprobs.shape == ref_logprobs.shape == mask.shape
    assert chosen.shape == rejected.shape == strength.shape
    log_ratios = (logprobs - ref_logprobs).masked_fill(~mask, 0.0).sum(1)
    margins = beta * (log_ratios[chosen] - log_ratios[rejected])
    preferred = strength * (1 - label_smoothing) + (1 - strength) * label_smoothing
    values = -preferred * logsigmoid(margins) - (1 - preferred) * logsigmoid(-margins)

    rewards = beta * log_ratios.detach()
    logps = logprobs.detach().masked_fill(~mask, 0.0).sum(1)
    metrics = {
        "rewards/chosen": rewards[chosen],
        "rewards/rejected": rewards[rejected],
        "rewards/margins": margins.detach(),
        "rewards/accuracies": (margins.detach() > 0).to(values.dtype),
        "logps/chosen": logps[chosen],
        "logps/rejected": logps[rejected],
    }
    return Term(values, torch.ones_like(chosen, dtype=torch.bool), chosen, metrics)
