"""A batch: trees with what is known about them, and the data streams that a packed part of it gives."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor

from truing.tree import Packed, Tree

__all__ = ["Batch", "data_streams"]


@dataclass(slots=True)
class Batch:
    """The groups of one step, as token trees.

    `policy_version` is the number of updates the policy had seen when the responses were sampled (None: from files).
    `metrics` are numbers about the batch itself (reward, length), `samples` a few rows of text for the log.
    """

    trees: list[Tree]
    policy_version: int | None = None
    metrics: dict[str, float] = field(default_factory=dict)
    samples: list[dict[str, Any]] = field(default_factory=list)


def data_streams(trees: Sequence[Tree], packed: Packed) -> dict[str, Tensor]:
    """The streams that do not come out of a model, for the trees of one micro-batch, in the order they were packed.

    What feedback did not say is left out: an objective that reads it is refused when the run is wired.
    """
    streams: dict[str, Tensor] = {"mask": packed.mask, "groups": packed.groups}
    streams["demonstrations"] = _rows(trees, lambda t: t.feedback.get("demonstrations", [True] * len(t.branches)))
    streams["finished"] = _rows(trees, lambda t: [b.finished for b in t.branches])
    streams["rivals"] = _rows(trees, lambda t: t.feedback.get("rivals", [False] * len(t.branches)))
    for name, dtype in (("ranks", torch.long), ("scores", torch.float32), ("labels", torch.long)):
        if all(name in t.feedback for t in trees):
            streams[name] = _rows(trees, lambda t, name=name: t.feedback[name], dtype)
    if all("aspect_scores" in t.feedback for t in trees):
        streams["aspect_scores"] = _rows(trees, lambda t: t.feedback["aspect_scores"], torch.float32)
    if all("pairs" in t.feedback for t in trees):
        streams |= _pairs(trees)
    if all(b.logprobs is not None for t in trees for b in t.branches):
        streams["sampled_logprobs"] = _tokens(trees, packed, [b.logprobs or [] for t in trees for b in t.branches])
    for name in ("advantages", "returns", "ref_logprobs", "old_logprobs", "old_values"):
        if all(name in t.feedback for t in trees):
            streams[name] = _tokens(trees, packed, [row for t in trees for row in t.feedback[name]])
    if all("step_labels" in t.feedback for t in trees):
        rows = [row for t in trees for row in t.feedback["step_labels"]]
        streams["step_labels"] = _tokens(trees, packed, rows, fill=float("nan"))
    device = packed.mask.device
    return {name: stream.to(device) for name, stream in streams.items()}


def _rows(trees: Sequence[Tree], read: Any, dtype: torch.dtype = torch.bool) -> Tensor:
    return torch.tensor([value for t in trees for value in read(t)], dtype=dtype)


def _pairs(trees: Sequence[Tree]) -> dict[str, Tensor]:
    chosen: list[int] = []
    rejected: list[int] = []
    strength: list[float] = []
    margin: list[float] = []
    first = 0
    for tree in trees:
        pairs = tree.feedback["pairs"]
        chosen += [first + i for i, _ in pairs]
        rejected += [first + j for _, j in pairs]
        strength += tree.feedback.get("strength") or [1.0] * len(pairs)
        margin += tree.feedback.get("margin") or [0.0] * len(pairs)
        first += len(tree.branches)
    return {
        "chosen": torch.tensor(chosen, dtype=torch.long),
        "rejected": torch.tensor(rejected, dtype=torch.long),
        "strength": torch.tensor(strength, dtype=torch.float32),
        "margin": torch.tensor(margin, dtype=torch.float32),
    }


def _tokens(trees: Sequence[Tree], packed: Packed, rows: Sequence[Sequence[float]], *, fill: float = 0.0) -> Tensor:
    """[rows, tokens], `fill` where a row is shorter."""
    out = torch.full(packed.mask.shape, fill, dtype=torch.float32)
    for i, row in enumerate(rows):
        if len(row):
            out[i, : len(row)] = torch.as_tensor(row, dtype=torch.float32)
    return out
