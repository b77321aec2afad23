"""What an objective returns, and the one place that divides.

Objectives return unreduced values and a mask. A reduction turns the mask into weights and a count; the loss of a batch
is

    Σ over micro-batches and ranks of  Σ weights · values   /   Σ over micro-batches and ranks of  count

so that any split of a batch gives the same gradient. The mask may depend on the data only, never on the model: then the
count is known before the first forward pass.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch
from torch import Tensor

__all__ = ["REDUCTIONS", "Term", "Weighing", "weigh"]


@dataclass(frozen=True, slots=True)
class Term:
    """Unreduced values of one objective.

    `values` and `mask` are `[rows, tokens]`, `[rows, aspects]`, `[rows]` or `[pairs]`. For `[pairs]`, `rows` is the row
    by which each entry is counted to a group (its chosen one); so too where there is one value for each group.
    `metrics` are detached tensors of the shape of `mask`; their masked mean is logged, without entries that are NaN:
    those that a metric does not speak of. Where `mask` is False, `values` carry no gradient and the streams may hold
    anything, NaN included.
    """

    values: Tensor
    mask: Tensor
    rows: Tensor | None = None
    metrics: Mapping[str, Tensor] = field(default_factory=dict)

    def __post_init__(self) -> None:
        assert self.values.shape == self.mask.shape, (self.values.shape, self.mask.shape)
        assert self.mask.dtype == torch.bool
        assert self.rows is None or self.rows.shape == self.values.shape
        for name, metric in self.metrics.items():
            assert metric.shape == self.mask.shape, (name, metric.shape, self.mask.shape)
            assert not metric.requires_grad, name


@dataclass(frozen=True, slots=True)
class Weighing:
    """`weights` has the shape of the mask and is 0 where it is False; `count` is this part's share of the divisor."""

    weights: Tensor
    count: Tensor


REDUCTIONS = ("token", "sequence", "group", "constant")


def weigh(mask: Tensor, groups: Tensor, reduction: str, *, rows: Tensor | None = None, length: int = 1) -> Weighing:
    """Weights and count of a masked term.

    `mask` is `[rows, tokens]` or one-dimensional, `groups` `[rows]`. For one-dimensional terms `rows` says which row
    each entry is of (default: its own).

    - `token`: every token counts the same (DAPO, arXiv:2503.14476, eq. 8).
    - `sequence`: mean over a response's tokens, then over responses (GRPO, arXiv:2402.03300, eq. 3).
    - `group`: mean over everything in a group, then over groups (InstructGPT, arXiv:2203.02155, eq. 1).
    - `constant`: sum over tokens divided by `length`, then the mean over responses (Dr. GRPO, arXiv:2503.20783).

    For one-dimensional terms `token`, `sequence` and `constant` are all the plain mean.
    """
    assert reduction in REDUCTIONS, reduction
    assert mask.ndim in (1, 2), mask.shape
    inside = mask.to(torch.float32)
    if reduction == "group":
        return _by_group(inside, groups if rows is None else groups[rows])
    if mask.ndim == 1 or reduction == "token":
        return Weighing(inside, inside.sum())
    alive = mask.any(1).to(torch.float32)
    if reduction == "constant":
        return Weighing(inside / length, alive.sum())
    return Weighing(inside / inside.sum(1, keepdim=True).clamp(min=1), alive.sum())


def _by_group(inside: Tensor, groups: Tensor) -> Weighing:
    size = int(groups.max()) + 1 if groups.numel() else 0
    entries = inside if inside.ndim == 1 else inside.sum(1)
    per_group = torch.zeros(size, device=inside.device).index_add(0, groups, entries)
    share = per_group.clamp(min=1)[groups]
    return Weighing(inside / (share if inside.ndim == 1 else share[:, None]), (per_group > 0).sum().float())
