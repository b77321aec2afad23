"""What advantages that compare within a group have in common."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["deviations", "group_sums"]


def group_sums(values: Tensor, groups: Tensor) -> Tensor:
    """`[rows]`: the sum of `values` over the group of each row."""
    labels, index = torch.unique(groups, return_inverse=True)
    return torch.zeros(len(labels), dtype=values.dtype, device=values.device).index_add(0, index, values)[index]


def deviations(rewards: Tensor, groups: Tensor) -> tuple[Tensor, Tensor]:
    """`[rows]` twice: reward minus the mean of its group, and how many rewards that group has.

    A row without a reward (NaN) deviates by 0 and is not counted. In float64: equal rewards must deviate by nothing
    even where they are large, because what is left is then divided by a spread that is near 0 too.
    """
    assert rewards.ndim == 1
    assert rewards.shape == groups.shape
    known = ~rewards.isnan()
    given = rewards.detach().double().masked_fill(~known, 0.0)
    counts = group_sums(known.double(), groups)
    means = group_sums(given, groups) / counts.clamp(min=1)
    return (given - means).masked_fill(~known, 0.0), counts
