"""A reward model from thumbs: the outcome reward model."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import logsigmoid

from truing.objectives._thumbs import desired, thumb_metrics
from truing.reduce import Term
from truing.registry import objective

__all__ = ["reward_binary"]


@objective
def reward_binary(
    rewards: Tensor,
    labels: Tensor,
    *,
    desirable_weight: Annotated[float, Field(gt=0)] = 1.0,
    undesirable_weight: Annotated[float, Field(gt=0)] = 1.0,
) -> Term:
    """Outcome reward model: -log σ(r) for thumbs up, -log σ(−r) for thumbs down (verifiers, arXiv:2110.14168,
    sec. 4.2; "outcome-supervised", arXiv:2211.14275).

    σ(r) is the probability of a thumbs up. `desirable_weight` and `undesirable_weight` multiply the loss of their
    kind: raise the one of the rarer kind, at the price of that probability. Responses with no label are left out.
    Returns `[rows]`.
    """
    assert rewards.shape == labels.shape
    up = desired(labels)
    logits = torch.where(up, rewards, -rewards)
    values = -torch.where(up, desirable_weight, undesirable_weight) * logsigmoid(logits)
    metrics = thumb_metrics(rewards.detach(), labels)
    metrics["rewards/accuracies"] = (logits.detach() > 0).to(values.dtype)
    return Term(values, labels >= 0, metrics=metrics)
