"""What an objective may read of a whole batch: made before the gradient, with none of its own.

A statistic that each micro-batch made for itself would depend on how the batch is cut. So the updater makes it first,
over everything, and every micro-batch reads the same number, or its own share where there is one number for each pair.
A statistic is named after the stream that it makes; it may be taken over other trees than the batch's (`trees`).
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from truing.tree import Branch, Tree

__all__ = ["STATISTICS", "Statistic", "at_same_place", "log_ratios", "masked_mean", "mismatched"]


@dataclass(frozen=True, slots=True)
class Statistic:
    """`whole(*columns)` of the columns that `entries(streams)` gives for each micro-batch, put one after another.

    `whole` makes one number of them, or one for each entry, which goes back to the micro-batch that the entry came
    from. `reads` names streams. `trees(batch)` are the trees that it is taken over; None: the batch's own.
    """

    reads: tuple[str, ...]
    entries: Callable[[dict[str, Tensor]], tuple[Tensor, ...]]
    whole: Callable[..., Tensor]
    trees: Callable[[Sequence[Tree]], list[Tree]] | None = None


# one number ----------------------------------------------------------------------------------------------------------


def masked_mean(values: Tensor, mask: Tensor) -> Tensor:
    """Σ values·mask / Σ mask, 0 where the mask is empty."""
    return values.masked_fill(~mask, 0.0).sum() / mask.sum().clamp(min=1)


def log_ratios(streams: dict[str, Tensor]) -> Tensor:
    """[rows]: Σ over tokens of log π − log π_ref."""
    return _total(streams["logprobs"] - streams["ref_logprobs"], streams)


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


# one number for each pair --------------------------------------------------------------------------------------------


def at_same_place(own: Tensor, others: Tensor) -> Tensor:
    """For each entry of `own`, the entry of `others` at the same place in order of size: (3, 1, 2), (10, 30, 20) ->
    (30, 10, 20).

    On a line this is the cheapest way to carry one set of numbers over to the other (optimal transport).
    """
    assert own.shape == others.shape
    assert own.ndim == 1
    return torch.empty_like(others).index_put((own.argsort(stable=True),), others.sort().values)


def _total(values: Tensor, streams: dict[str, Tensor]) -> Tensor:
    return values.masked_fill(~streams["mask"], 0.0).sum(1)


def _margins(streams: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """[pairs] twice: log π(chosen)/π(rejected), and that of the reference."""
    policy, reference = (_total(streams[name], streams) for name in ("logprobs", "ref_logprobs"))
    chosen, rejected = streams["chosen"], streams["rejected"]
    return policy[chosen] - policy[rejected], reference[chosen] - reference[rejected]


def _of_pairs(streams: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """[pairs] twice: log π/π_ref of the chosen and of the rejected responses."""
    ratios = log_ratios(streams)
    return ratios[streams["chosen"]], ratios[streams["rejected"]]


_RATIOS = ("logprobs", "ref_logprobs", "mask")
_PAIRS = (*_RATIOS, "chosen", "rejected")

STATISTICS: dict[str, Statistic] = {
    "mismatched_log_ratio": Statistic(_RATIOS, lambda s: (log_ratios(s), s["mask"].any(1)), masked_mean, mismatched),
    "desirable_log_ratio": Statistic((*_RATIOS, "labels"), _labelled(1), masked_mean),
    "undesirable_log_ratio": Statistic((*_RATIOS, "labels"), _labelled(0), masked_mean),
    "reference_quantile": Statistic(_PAIRS, _margins, at_same_place),
    "rejected_quantile": Statistic(_PAIRS, _of_pairs, at_same_place),
    "chosen_quantile": Statistic(_PAIRS, lambda s: _of_pairs(s)[::-1], at_same_place),
}
