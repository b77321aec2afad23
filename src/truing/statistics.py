"""Numbers about a whole batch that an objective may read: made before the gradient, with none of their own.

A statistic that each micro-batch made for itself would depend on how the batch is cut. So the updater makes them
first, over everything, and every micro-batch reads the same number. A statistic is a masked mean of per-row values,
named after the stream that it makes; it may be taken over other trees than the batch's (`trees`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from torch import Tensor

from truing.tree import Branch, Tree

__all__ = ["STATISTICS", "Statistic", "log_ratios", "mismatched"]


@dataclass(frozen=True, slots=True)
class Statistic:
    """`values(streams) -> (values [rows], mask [rows])` on the trees that `trees(batch)` gives; `reads` names streams.

    The statistic is Σ values·mask / Σ mask, 0 where the mask is empty.
    """

    reads: tuple[str, ...]
    values: Callable[[dict[str, Tensor]], tuple[Tensor, Tensor]]
    trees: Callable[[Sequence[Tree]], list[Tree]] = list


def log_ratios(streams: dict[str, Tensor]) -> Tensor:
    """[rows]: Σ over tokens of log π − log π_ref."""
    return (streams["logprobs"] - streams["ref_logprobs"]).masked_fill(~streams["mask"], 0.0).sum(1)


def mismatched(trees: Sequence[Tree]) -> list[Tree]:
    """Every prompt with the first response of the next tree: what the policy would say to something else.

    A batch of one tree has no other prompt and gives nothing.
    """
    if len(trees) < 2:
        return []
    others = [*trees[1:], trees[0]]
    return [
        Tree(tree.prompt, [Branch(b.tokens, [True] * len(b.tokens))])
        for tree, other in zip(trees, others, strict=True)
        for b in other.branches[:1]
    ]


def _labelled(label: int) -> Callable[[dict[str, Tensor]], tuple[Tensor, Tensor]]:
    return lambda streams: (log_ratios(streams), streams["labels"] == label)


_RATIOS = ("logprobs", "ref_logprobs", "mask")

STATISTICS: dict[str, Statistic] = {
    "mismatched_log_ratio": Statistic(_RATIOS, lambda s: (log_ratios(s), s["mask"].any(1)), mismatched),
    "desirable_log_ratio": Statistic((*_RATIOS, "labels"), _labelled(1)),
    "undesirable_log_ratio": Statistic((*_RATIOS, "labels"), _labelled(0)),
}
