"""How far people agree, beyond chance: pure mathematics on ratings, each number with an interval over the items.

percent_agreement     the share of pairs of ratings of the same item that are the same; knows nothing of chance
cohen_kappa           two annotators who each have habits of their own; distances may be weighted
fleiss_kappa          any number of annotators, taken as draws from one crowd
krippendorff_alpha    any number of annotators, missing ratings, categories or numbers

`items` are the ratings of each item, one row an item and one column an annotator; None is a missing rating. Which
column a rating stands in matters to nobody but Cohen's kappa, so rows may also be of different length. `clusters`
names what was sampled where several items come of it (the steps of one answer): intervals then resample clusters.
Where a number does not exist it is NaN and `why` says what is missing; agreement is never made 1 for want of evidence.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Callable, Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from truing.evaluate.intervals import Interval, bootstrap

__all__ = ["Coefficient", "Level", "cohen_kappa", "fleiss_kappa", "krippendorff_alpha", "percent_agreement"]

Floats = NDArray[np.float64]
Level = Literal["nominal", "ordinal", "interval"]
Weights = Literal["linear", "quadratic"]
Value = Hashable
Items = Iterable[Sequence[Value | None]]
Clusters = Sequence[Hashable] | None

_ALONE = "no item was judged by two"
_ALIKE = "all ratings are the same, and chance alone agrees as often"


@dataclass(frozen=True, slots=True)
class Coefficient:
    """A number over `n` items or clusters of them, with its 95 % interval; `why` it is NaN, where it is."""

    interval: Interval
    why: str | None = None

    @property
    def value(self) -> float:
        return self.interval.value

    @property
    def low(self) -> float:
        return self.interval.low

    @property
    def high(self) -> float:
        return self.interval.high

    def reaches(self, target: float) -> bool | None:
        """Whether the number is `target` or more; None where there is none."""
        return None if math.isnan(self.value) else self.value >= target


def _ordered(values: Iterable[Value]) -> list[Any]:
    """Categories in their own order where they have one."""
    found: list[Any] = list(dict.fromkeys(values))
    try:
        return sorted(found)
    except TypeError:
        return sorted(found, key=lambda value: (type(value).__name__, repr(value)))


@dataclass(frozen=True, slots=True)
class _Kinds:
    """Items that are alike, as one: `patterns`, and for the bootstrap how often each kind of cluster of them occurs."""

    patterns: list[Any]
    counts: list[int]
    members: Any = None
    """Sparse [kinds of clusters, patterns]: how often each is in it; None where every item stands for itself."""

    @classmethod
    def of(cls, items: Sequence[Hashable], clusters: Clusters) -> _Kinds:
        number = Counter(items)
        patterns = _ordered(number)
        if clusters is None or not patterns:
            return cls(patterns, [number[p] for p in patterns])
        from scipy.sparse import csr_array

        index = {pattern: i for i, pattern in enumerate(patterns)}
        held: dict[Hashable, Counter[int]] = {}
        for item, cluster in zip(items, clusters, strict=True):
            held.setdefault(cluster, Counter())[index[item]] += 1
        kinds = Counter(tuple(sorted(each.items())) for each in held.values())
        ordered = sorted(kinds)
        held_by = [(row, pattern, times) for row, kind in enumerate(ordered) for pattern, times in kind]
        row_of, column_of, times_of = zip(*held_by, strict=True)
        shape = (len(ordered), len(patterns))
        members = csr_array((np.array(times_of, dtype=np.float64), (row_of, column_of)), shape=shape)
        return cls(patterns, [kinds[kind] for kind in ordered], members)

    def interval(self, statistic: Callable[[Floats], Floats], width: int, bounds: tuple[float, float]) -> Interval:
        """`statistic` maps how often each pattern occurs, [resamples, patterns], to a number each."""
        members = self.members
        if members is None:
            return bootstrap(statistic, self.counts, bounds=bounds, width=width)
        return bootstrap(lambda w: statistic(w @ members), self.counts, bounds=bounds, width=width)


def _divided(above: Floats, below: Floats) -> Floats:
    """above / below, NaN where there is nothing below."""
    found: Floats = np.divide(above, below, out=np.full(np.shape(above), np.nan), where=np.asarray(below) > 1e-12)
    return found


def _rows(items: Items, clusters: Clusters) -> tuple[list[tuple[Value, ...]], Clusters]:
    """The ratings of each item in order, without items that nobody rated."""
    rows = [tuple(_ordered_all(v for v in row if v is not None)) for row in items]
    if clusters is not None:
        clusters = [cluster for row, cluster in zip(rows, clusters, strict=True) if row]
    return [row for row in rows if row], clusters


def _ordered_all(values: Iterable[Value]) -> list[Any]:
    given = list(values)
    place = {value: i for i, value in enumerate(_ordered(given))}
    return sorted(given, key=lambda value: place[value])


def _table(rows: Sequence[tuple[Value, ...]], categories: Sequence[Value]) -> Floats:
    """[rows, categories]: how often each was said."""
    place = {value: i for i, value in enumerate(categories)}
    found = np.zeros((len(rows), len(categories)))
    for i, row in enumerate(rows):
        for value in row:
            found[i, place[value]] += 1
    return found


def _paired(rows: Items, clusters: Clusters) -> _Kinds:
    """Items that two or more rated."""
    given, clusters = _rows(rows, clusters)
    if clusters is not None:
        clusters = [cluster for row, cluster in zip(given, clusters, strict=True) if len(row) > 1]
    return _Kinds.of([row for row in given if len(row) > 1], clusters)


def _missing(bounds: tuple[float, float], why: str) -> Coefficient:
    return Coefficient(Interval(math.nan, *bounds, 0), why)


def _explained(interval: Interval, why: str) -> Coefficient:
    return Coefficient(interval, why if math.isnan(interval.value) else None)


def _agreeing(table: Floats) -> Floats:
    """Of the pairs of ratings of each item, the share that is the same; [items]. Two ratings or more each."""
    number = table.sum(1)
    same: Floats = (table * (table - 1)).sum(1) / (number * (number - 1))
    return same


def percent_agreement(items: Items, *, clusters: Clusters = None) -> Coefficient:
    """P = mean over items of (pairs of ratings that are the same) / (pairs of ratings), of items with two or more.

    Every item counts as much, however many rated it. For two annotators this is the share of items on which they
    agree. (Fleiss 1971, Psychological Bulletin 76(5), eq. 2-3.)
    """
    kinds = _paired(items, clusters)
    if not kinds.patterns:
        return _missing((0.0, 1.0), _ALONE)
    same = _agreeing(_table(kinds.patterns, _ordered(v for row in kinds.patterns for v in row)))
    return Coefficient(kinds.interval(lambda w: _divided(w @ same, w.sum(1)), 1, (0.0, 1.0)))


def _distances(number: int, weights: Weights | None) -> Floats:
    """[categories, categories]: how far apart two are."""
    gap = np.abs(np.subtract.outer(np.arange(number), np.arange(number))).astype(np.float64)
    if weights is None:
        return (gap > 0).astype(np.float64)
    squared: Floats = gap**2
    return gap if weights == "linear" else squared


def cohen_kappa(
    first: Sequence[Value | None],
    second: Sequence[Value | None],
    *,
    weights: Weights | None = None,
    categories: Sequence[Value] | None = None,
    clusters: Clusters = None,
) -> Coefficient:
    """κ = 1 − Σ w_jk p_jk / Σ w_jk p_j· p_·k, over the items that both rated: p_jk is the share to which the first gave
    category j and the second k.

    Unweighted w = [j ≠ k], then κ = (P_o − P_e) / (1 − P_e) (Cohen 1960, Educational and Psychological Measurement
    20(1)). `linear` w = |j − k| and `quadratic` w = (j − k)² count near misses less (Cohen 1968, Psychological Bulletin
    70(4)); j and k are places in `categories`, by default those that were used, in their own order: where nobody said
    3 of 1 to 5, name all five. There is no κ where both gave everything the same category.
    """
    bounds = (-1.0, 1.0)
    both = [(a, b) for a, b in zip(first, second, strict=True) if a is not None and b is not None]
    if clusters is not None:
        clusters = [c for c, a, b in zip(clusters, first, second, strict=True) if a is not None and b is not None]
    if not both:
        return _missing(bounds, "no item was judged by both")
    used = _ordered(v for pair in both for v in pair)
    names = list(used if categories is None else categories)
    unknown = [value for value in used if value not in names]
    if unknown:
        raise ValueError(f"{unknown[0]!r} was said, and the categories are {names}")
    place = {value: i for i, value in enumerate(names)}
    number = len(names)
    kinds = _Kinds.of([(place[a], place[b]) for a, b in both], clusters)
    rows, columns = (np.array(side) for side in zip(*kinds.patterns, strict=True))
    apart = _distances(number, weights)
    row_of, column_of = np.eye(number)[rows], np.eye(number)[columns]

    def kappa(w: Floats) -> Floats:
        total = w.sum(1)
        expected = np.einsum("bj,jk,bk->b", w @ row_of, apart, w @ column_of) / total
        return 1 - _divided(w @ apart[rows, columns], expected)

    return _explained(kinds.interval(kappa, number, bounds), _ALIKE)


def fleiss_kappa(items: Items, *, clusters: Clusters = None) -> Coefficient:
    """κ = (P − P_e) / (1 − P_e),  P_e = Σ_j p_j²: P as in `percent_agreement`, p_j the mean over items of the share of
    an item's ratings that say j (Fleiss 1971, Psychological Bulletin 76(5)).

    Fleiss takes the same number of ratings for every item. Where it varies this is Gwet's form (Handbook of Inter-Rater
    Reliability, 4th ed. 2014, section 2.4): items with one rating tell nothing of P and count in p_j, and every item
    counts as much, however many rated it. With the same number for all the two are the same.
    """
    bounds = (-1.0, 1.0)
    given, clusters = _rows(items, clusters)
    kinds = _Kinds.of(given, clusters)
    if not any(len(row) > 1 for row in kinds.patterns):
        return _missing(bounds, _ALONE)
    table = _table(kinds.patterns, _ordered(v for row in kinds.patterns for v in row))
    number = table.sum(1)
    share = table / number[:, None]
    paired = number > 1
    same = np.zeros(len(table))
    same[paired] = _agreeing(table[paired])

    def kappa(w: Floats) -> Floats:
        observed = _divided(w @ same, w @ paired.astype(np.float64))
        chance = (((w @ share) / w.sum(1, keepdims=True)) ** 2).sum(1)
        return 1 - _divided(1 - observed, 1 - chance)

    return _explained(kinds.interval(kappa, table.shape[1], bounds), _ALIKE)


def krippendorff_alpha(items: Items, *, level: Level = "nominal", clusters: Clusters = None) -> Coefficient:
    """α = 1 − D_o / D_e: the disagreement within items over that of all ratings put together,

        D_o = Σ_items 1/(m − 1) Σ_{i≠j} δ²(v_i, v_j) / n,    D_e = Σ_{i≠j of all} δ²(v_i, v_j) / (n (n − 1)),

    m ratings an item, n ratings in all, of items with two or more (Krippendorff 2011, "Computing Krippendorff's
    Alpha-Reliability", University of Pennsylvania).

    nominal   δ² = [c ≠ k]
    ordinal   δ² = (n_c/2 + the number of ratings between c and k + n_k/2)²
    interval  δ² = (c − k)²; ratings are numbers

    Ordinal and interval take the order of the values themselves. There is no α where all ratings are the same.
    """
    bounds = (-1.0, 1.0)
    kinds = _paired(items, clusters)
    if not kinds.patterns:
        return _missing(bounds, _ALONE)
    categories = _ordered(v for row in kinds.patterns for v in row)
    number = np.array([len(row) for row in kinds.patterns], dtype=np.float64)
    within = _WITHIN[level](kinds.patterns, categories, number)

    def alpha(w: Floats) -> Floats:
        observed, expected, total = within(w)
        return 1 - _divided(observed * (total - 1), expected)

    width = 1 if level == "interval" else len(categories)
    return _explained(kinds.interval(alpha, width, bounds), _ALIKE)


Within = Callable[[Floats], tuple[Floats, Floats, Floats]]
"""Counts of patterns [resamples, patterns] -> (Σ_items Σ δ²/(m − 1), Σ over all pairs of ratings δ², n), a resample."""


def _nominal(patterns: Sequence[tuple[Any, ...]], categories: Sequence[Any], number: Floats) -> Within:
    table = _table(patterns, categories)
    differing = (number**2 - (table**2).sum(1)) / (number - 1)

    def within(w: Floats) -> tuple[Floats, Floats, Floats]:
        total = w @ number
        return w @ differing, total**2 - ((w @ table) ** 2).sum(1), total

    return within


def _ordinal(patterns: Sequence[tuple[Any, ...]], categories: Sequence[Any], number: Floats) -> Within:
    """The distance of two categories is that of their middle ranks, so that this is the interval form on ranks.

    Ranks come of the counts, and change from resample to resample.
    """
    table = _table(patterns, categories)

    def within(w: Floats) -> tuple[Floats, Floats, Floats]:
        margins, total = w @ table, w @ number
        # Centred and divided by n, or squares of ranks would cost digits.
        ranks = (np.cumsum(margins, 1) - margins / 2) / total[:, None] - 0.5
        linear, square = ranks @ table.T, ranks**2 @ table.T
        observed = (w * (2 * (number * square - linear**2) / (number - 1))).sum(1)
        expected = 2 * (total * (margins * ranks**2).sum(1) - (margins * ranks).sum(1) ** 2)
        return observed, expected, total

    return within


def _interval(patterns: Sequence[tuple[Any, ...]], categories: Sequence[Any], number: Floats) -> Within:
    middle = math.fsum(sum(row) for row in patterns) / float(number.sum())
    # The unit of the numbers does not matter; within 0..1 they neither overflow nor look like nothing.
    size = max((abs(value - middle) for value in categories), default=0.0) or 1.0
    scaled = [[(value - middle) / size for value in row] for row in patterns]
    linear = np.array([math.fsum(row) for row in scaled])
    square = np.array([math.fsum(v * v for v in row) for row in scaled])
    apart = 2 * (number * square - linear**2) / (number - 1)

    def within(w: Floats) -> tuple[Floats, Floats, Floats]:
        total = w @ number
        return w @ apart, 2 * (total * (w @ square) - (w @ linear) ** 2), total

    return within


_WITHIN: Mapping[str, Callable[[Sequence[tuple[Any, ...]], Sequence[Any], Floats], Within]] = {
    "nominal": _nominal,
    "ordinal": _ordinal,
    "interval": _interval,
}
