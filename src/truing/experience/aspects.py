"""Scores of several aspects: which there are in the data, what is known of each, and trees with all on one scale.

One file may give helpfulness from 0 to 4 and correctness as 0 or 1, or for some responses only. A model with a head for
each aspect learns them in standard deviations from their mean, so that none counts for more by the width of its scale.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

from truing.group import Scores

if TYPE_CHECKING:
    from truing.tree import Tree

__all__ = ["Scale", "described", "errors", "measure", "of_responses", "standardise"]


@dataclass(frozen=True, slots=True)
class Scale:
    """Mean and standard deviation of an aspect's scores: of the data's, in points, or of what a head says."""

    mean: float
    std: float

    def standard(self, score: float) -> float:
        """In standard deviations from the mean; NaN stays NaN. 0 where all scores are the same."""
        return (score - self.mean) / (self.std or 1.0)


def of_responses(said: Sequence[Scores]) -> dict[str, list[float]]:
    """Each aspect's score of each response: the mean over those who gave one, NaN where nobody did."""
    rows: dict[str, list[list[float]]] = {}
    for scores in said:
        for aspect, values in scores.values.items():
            row = rows.setdefault(aspect, [[] for _ in values])
            for given, value in zip(row, values, strict=True):
                given += [] if value is None else [value]
    return {
        aspect: [math.fsum(given) / len(given) if given else math.nan for given in row] for aspect, row in rows.items()
    }


def measure(trees: Sequence[Tree]) -> dict[str, Scale]:
    """The aspects of the trees, in order of name, and their scales; one that nobody scored is none."""
    values: dict[str, list[float]] = {}
    for tree in trees:
        for aspect, row in tree.feedback["aspects"].items():
            values.setdefault(aspect, []).extend(value for value in row if not math.isnan(value))
    return {
        aspect: Scale(statistics.fmean(found), statistics.pstdev(found))
        for aspect, found in sorted(values.items())
        if found
    }


def described(scales: Mapping[str, Scale], rows: Sequence[Sequence[float]]) -> dict[str, dict[str, float]]:
    """For a model's metadata: each aspect with mean and spread of what its head says in `rows` of all aspects, and of
    the data's points."""
    return {
        aspect: {
            "mean": statistics.fmean(said),
            "std": statistics.pstdev(said) or 1.0,
            "score_mean": scale.mean,
            "score_std": scale.std or 1.0,
        }
        for (aspect, scale), said in zip(scales.items(), zip(*rows, strict=True), strict=True)
    }


def errors(
    scales: Mapping[str, Scale], trees: Sequence[Tree], said: Sequence[Sequence[Sequence[float]]]
) -> dict[str, float]:
    """`error/ASPECT`: the mean absolute error of what the heads `said` (by tree, response, aspect), in points of the
    data; nothing for an aspect that nobody scored here."""
    found: dict[str, list[float]] = {aspect: [] for aspect in scales}
    for tree, rows in zip(trees, said, strict=True):
        for given, row in zip(tree.feedback["aspect_scores"], rows, strict=True):
            for aspect, score, value in zip(scales, given, row, strict=True):
                if not math.isnan(score):
                    found[aspect].append(abs(value - score) * scales[aspect].std)
    return {f"error/{aspect}": statistics.fmean(each) for aspect, each in found.items() if each}


def standardise(trees: Sequence[Tree], scales: Mapping[str, Scale]) -> None:
    """Give each tree `aspect_scores`: for each response a number for each aspect in `scales`, NaN where none was
    given."""
    for tree in trees:
        missing = [math.nan] * len(tree.branches)
        columns = [
            [scale.standard(value) for value in tree.feedback["aspects"].get(aspect, missing)]
            for aspect, scale in scales.items()
        ]
        tree.feedback["aspect_scores"] = [list(row) for row in zip(*columns, strict=True)]
