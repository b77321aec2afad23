"""Several rewards become one: weighted, in order of importance, or one within the limits of others; and several models
of the same reward. Pure functions on lists; NaN means that a reward does not speak of a completion.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence
from typing import Literal

__all__ = ["Part", "constrained", "ensembled", "lexicographic", "limits_of", "normalised", "weighted"]

Part = tuple[float, Sequence[float]]
"""A reward's weight and its values, one per completion."""


def normalised(values: Sequence[float], groups: Sequence[int] | None = None) -> list[float]:
    """(value − mean) / std over everything, or over each group alone where `groups` says which one a value is of.

    Where the values do not differ they become 0: there is nothing to tell apart.
    """
    groups = [0] * len(values) if groups is None else groups
    out = [math.nan] * len(values)
    for group in set(groups):
        members = [i for i, g in enumerate(groups) if g == group and not math.isnan(values[i])]
        if not members:
            continue
        known = [values[i] for i in members]
        center, spread = statistics.fmean(known), statistics.pstdev(known)
        for i in members:
            out[i] = (values[i] - center) / spread if spread > 1e-8 else 0.0
    return out


def weighted(parts: Sequence[Part], size: int) -> list[float]:
    """Σ weight · value over the rewards that speak; NaN where none does."""
    out = [math.nan] * size
    for weight, values in parts:
        for i, value in enumerate(values):
            if not math.isnan(value):
                out[i] = (0.0 if math.isnan(out[i]) else out[i]) + weight * value
    return out


def lexicographic(parts: Sequence[Part], groups: Sequence[int], *, tolerance: float = 0.0) -> list[float]:
    """The share, 0..1, of the other completions of its group that each beats; a tie counts half.

    Two completions are compared by the first reward that speaks of both and on which they differ by more than
    `tolerance`; a later one decides only what the earlier ones leave open. A negative weight turns a reward round.
    Alone in its group a completion gets 0.5; NaN where no reward speaks of it.
    """
    out = [math.nan] * len(groups)
    members: dict[int, list[int]] = {}
    for i, group in enumerate(groups):
        if any(not math.isnan(values[i]) for _, values in parts):
            members.setdefault(group, []).append(i)
    for rivals in members.values():
        for i in rivals:
            won = [_duel(parts, i, j, tolerance) for j in rivals if j != i]
            out[i] = statistics.fmean(won) if won else 0.5
    return out


def _duel(parts: Sequence[Part], i: int, j: int, tolerance: float) -> float:
    for weight, values in parts:
        gap = math.copysign(1.0, weight) * (values[i] - values[j])
        if abs(gap) > tolerance:  # False for NaN: that reward does not speak of both
            return 1.0 if gap > 0 else 0.0
    return 0.5


def constrained(
    objectives: Sequence[Part], limits: Sequence[tuple[Sequence[float], float]], size: int, *, penalty: float = 1.0
) -> list[float]:
    """Σ weight · objective − penalty · Σ max(0, threshold − value) over `limits`, pairs of values and threshold.

    Above its threshold a limited reward earns nothing more. With a large enough penalty the best completion is the best
    of those within the limits (exact penalty method; Nocedal & Wright, Numerical Optimization, sec. 17.2). A limit that
    does not speak of a completion does not hold it back.
    """
    out = weighted(objectives, size)
    for values, threshold in limits:
        for i, value in enumerate(values):
            if value < threshold:
                out[i] = (0.0 if math.isnan(out[i]) else out[i]) - penalty * (threshold - value)
    return out


def ensembled(
    scores: Sequence[Sequence[float]], how: Literal["mean", "worst", "uncertainty"], *, penalty: float = 1.0
) -> list[float]:
    """One number per completion from `scores[model][completion]`.

    `mean`; `worst`: the smallest; `uncertainty`: mean − penalty · standard deviation over the models (Reward Model
    Ensembles Help Mitigate Overoptimization, arXiv:2310.02743, sec. 3, which subtracts the variance).
    """
    columns = list(zip(*scores, strict=True))
    match how:
        case "mean":
            return [statistics.fmean(column) for column in columns]
        case "worst":
            return [min(column) for column in columns]
        case "uncertainty":
            return [statistics.fmean(column) - penalty * statistics.pstdev(column) for column in columns]


def limits_of(
    parts: Mapping[str, Part], thresholds: Mapping[str, float]
) -> tuple[list[Part], list[tuple[Sequence[float], float]]]:
    """The rewards that are to be raised, and those that have only to reach a threshold."""
    objectives = [part for name, part in parts.items() if name not in thresholds]
    return objectives, [(parts[name][1], threshold) for name, threshold in thresholds.items()]
