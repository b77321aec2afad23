"""What the objectives over thumbs share."""

from __future__ import annotations

import torch
from torch import Tensor


def desired(labels: Tensor) -> Tensor:
    """bool `[rows]`: thumbs up. The rest is down where `labels` is 0, and masked where it is -1."""
    return labels == 1


def thumb_metrics(rewards: Tensor, labels: Tensor) -> dict[str, Tensor]:
    """`rewards/chosen` over the thumbs up, `rewards/rejected` over the thumbs down; NaN where a row is not meant."""
    return {
        "rewards/chosen": torch.where(labels == 1, rewards, float("nan")),
        "rewards/rejected": torch.where(labels == 0, rewards, float("nan")),
    }
