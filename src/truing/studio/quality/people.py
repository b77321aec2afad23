"""One annotator in one project, in numbers."""

from __future__ import annotations

from dataclasses import dataclass
from statistics import median
from typing import Any

from truing.studio.assignment import GOLD_LAST
from truing.studio.kinds import Kind
from truing.studio.quality.bias import Bias, first_shown_bias, longest_bias
from truing.studio.quality.labels import Label

__all__ = ["PersonQuality", "person_quality"]


@dataclass(frozen=True, slots=True)
class PersonQuality:
    """One annotator in this project."""

    person_id: int
    name: str
    state: str
    """`qualifying`, `working`, `failed`, or `paused`."""
    paused: str | None
    num_answers: int
    """Of real work: gold and the test are counted apart."""
    num_skipped: int
    median_seconds: float | None
    num_shared: int
    """Parts of answers that somebody else was asked too."""
    agreement: float | None
    """The mean share of the others who say the same."""
    num_gold: int
    gold_score: float | None
    """Over the last 20, as the pause goes by."""
    qualification_score: float | None
    first_shown: Bias | None
    longer: Bias | None


def person_quality(
    row: Any,
    kind: Kind[Any],
    labels: list[Label],
    num_skipped: int,
    known: list[Any],
    num_shared: int,
    agreement: float | None,
) -> PersonQuality:
    """The numbers of the person in `row` from their work, and from the gold and test items that they were asked
    (`known`, oldest first)."""
    gold = [k.gold_score for k in known if k.role == "gold"]
    test = [k.gold_score for k in known if k.role == "qualification"]
    return PersonQuality(
        row.id,
        row.name,
        "paused" if row.everywhere is not None else row.state,
        row.everywhere or row.paused,
        len(labels),
        num_skipped,
        median(label.seconds for label in labels) if labels else None,
        num_shared,
        agreement,
        len(gold),
        sum(gold[-GOLD_LAST:]) / len(gold[-GOLD_LAST:]) if gold else None,
        sum(test) / len(test) if test else None,
        first_shown_bias(kind, labels),
        longest_bias(kind, labels),
    )
