"""The Bradley-Terry reward model."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import logsigmoid

from truing.reduce import Term
from truing.registry import objective

__all__ = ["bradley_terry"]


@objective
def bradley_terry(
    rewards: Tensor,
    chosen: Tensor,
    rejected: Tensor,
    strength: Tensor,
    margin: Tensor,
    *,
    centering: Annotated[float, Field(ge=0)] = 0.0,
) -> Term:
    """Bradley-Terry: -log σ(r_chosen − r_rejected − margin) (InstructGPT, arXiv:2203.02155, eq. 1; margin: Llama 2,
    arXiv:2307.09288, eq. 2).

    With d = r_chosen − r_rejected − margin and p = `strength` the loss is p·(-log σ(d)) + (1 − p)·(-log σ(−d)), least
    at d = logit(p). Only differences of rewards are learnt; `centering` adds centering·(r_chosen + r_rejected)², which
    keeps the rewards of a comparison around 0 (arXiv:2312.09244). Returns `[pairs]`.
    """
    assert rewards.ndim == 1
    assert chosen.shape == rejected.shape == strength.shape == margin.shape
    better, worse = rewards[chosen], rewards[rejected]
    gap = better - worse - margin
    values = -strength * logsigmoid(gap) - (1 - strength) * logsigmoid(-gap) + centering * (better + worse) ** 2

    better, worse = better.detach(), worse.detach()
    metrics = {
        "rewards/chosen": better,
        "rewards/rejected": worse,
        "rewards/margins": better - worse,
        "rewards/accuracies": (better > worse).to(values.dtype),
    }
    return Term(values, torch.ones_like(chosen, dtype=torch.bool), chosen, metrics)
