"""What explains a choice without the text: its place on the screen, its length."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from truing.evaluate.intervals import Interval, proportion
from truing.studio.kinds import Kind
from truing.studio.quality.labels import Label

__all__ = ["Bias", "first_shown_bias", "longest_bias"]


@dataclass(frozen=True, slots=True)
class Bias:
    """How often one place, or the longer response, is chosen. `expected`: how often by chance."""

    share: Interval
    expected: float


def first_shown_bias(kind: Kind[Any], labels: Iterable[Label], level: float = 0.95) -> Bias | None:
    """How often the response that was shown first is the one put above all others."""
    hits = [
        (label.order[0] == chosen, 1 / len(label.order))
        for label in labels
        if len(label.order) > 1 and (chosen := kind.chosen(label.value)) is not None
    ]
    return _bias(hits, level)


def longest_bias(kind: Kind[Any], labels: Iterable[Label], level: float = 0.95) -> Bias | None:
    """How often the longest response is the one put above all others, where one is the longest."""
    hits = []
    for label in labels:
        chosen = kind.chosen(label.value)
        if chosen is None or len(label.lengths) < 2 or label.lengths.count(max(label.lengths)) > 1:
            continue
        hits.append((label.lengths[chosen] == max(label.lengths), 1 / len(label.lengths)))
    return _bias(hits, level)


def _bias(hits: Sequence[tuple[bool, float]], level: float) -> Bias | None:
    if not hits:
        return None
    share = proportion(sum(hit for hit, _ in hits), len(hits), level=level)
    return Bias(share, sum(chance for _, chance in hits) / len(hits))
