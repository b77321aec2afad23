"""Whatever puts responses in order - rankings, scores, thumbs - as rankings, and rankings as pairs. Pure functions.

A pair is a group of two, the better first.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, replace
from itertools import pairwise

from truing.errors import DataError
from truing.group import Group, Labels, Ranking, Scores

__all__ = [
    "Options",
    "Order",
    "adjacent_pairs",
    "best_and_rest",
    "best_and_worst",
    "labels_ranking",
    "orders",
    "pairs",
    "rankings",
    "scores_ranking",
    "strength",
]


@dataclass(frozen=True, slots=True)
class Options:
    """How to read an order, or thumbs, out of numbers."""

    aspect: str | None = None
    """The aspect of the scores; may be left out where there is one, or one called `overall`."""
    tolerance: float = 0.0
    """Scores that differ by no more tie."""
    strength_scale: float | None = None
    """Pairs of scores get strength σ(gap / strength_scale); None: no strength, the better is better."""
    threshold: float | None = None
    """The score from which on a response is good; None: the middle of the scale."""

    def __post_init__(self) -> None:
        if self.tolerance < 0:
            raise ValueError(f"tolerance {self.tolerance} is negative")
        if self.strength_scale is not None and not self.strength_scale > 0:
            raise ValueError(f"strength_scale {self.strength_scale} is not above 0")


DEFAULT = Options()


def strength(gap: float, scale: float) -> float:
    """P(better preferred) = σ(gap / scale): a gap of `scale` points is 0.731, of 2.197 times that 0.9.

    The Bradley-Terry probability where scores are read as utilities in units of `scale`.
    """
    return 1 / (1 + math.exp(-gap / scale))


def aspect_values(said: Scores, aspect: str | None) -> tuple[float | None, ...]:
    """The scores of one aspect: the named one, the only one, or `overall`."""
    name = aspect or ("overall" if "overall" in said.values else next(iter(said.values)))
    if name not in said.values or (aspect is None and name != "overall" and len(said.values) > 1):
        raise DataError(
            f"the scores have the aspects {', '.join(said.values)}, and "
            + (f"`{aspect}` is none of them" if aspect else "nothing says which one ranks"),
            remedy="Name one of them as `aspect`.",
        )
    return said.values[name]


def speaking(said: tuple[Scores, ...], aspect: str | None) -> tuple[Scores, ...]:
    """Of several scores those that have the aspect, where some have it (default `overall`); else all."""
    named = tuple(scores for scores in said if (aspect or "overall") in scores.values)
    return named or said


def scores_ranking(said: Scores, *, aspect: str | None = None, tolerance: float = 0.0) -> Ranking:
    """Scores -> the ranking they imply; what has no score stays unranked.

    Two responses tie when the scores differ by no more than `tolerance`. That alone is not transitive, so a tie is
    counted from its best: [5, 4.6, 4.2] with 0.5 gives ranks [1, 1, 2]. `aspect` may be left out where there is one, or
    one called `overall`.
    """
    if tolerance < 0:
        raise ValueError(f"tolerance {tolerance} is negative")
    values = aspect_values(said, aspect)
    ranks: list[int | None] = [None] * len(values)
    rank, best = 0, float("inf")
    for value, index in sorted(((-v, i) for i, v in enumerate(values) if v is not None)):
        if rank == 0 or best - -value > tolerance:
            rank, best = rank + 1, -value
        ranks[index] = rank
    return Ranking(tuple(ranks), annotator_id=said.annotator_id)


def labels_ranking(said: Labels) -> Ranking:
    """Thumbs -> a ranking of two places: up before down, what has no thumb unranked."""
    places = {True: 1, False: 2, None: None}
    ranks = tuple(places[value] for value in said.values)
    return Ranking(ranks if 1 in ranks else tuple(r and 1 for r in ranks), annotator_id=said.annotator_id)


@dataclass(frozen=True, slots=True)
class Order:
    """A ranking, and the scores that it came from, if it did."""

    ranking: Ranking
    scores: tuple[float | None, ...] | None = None

    def pair(self, group: Group, better: int, worse: int, options: Options) -> Group:
        """Two responses of the group, the better first."""
        sure, margin = self.ranking.strength, self.ranking.margin
        if self.scores is not None and options.strength_scale is not None:
            high, low = self.scores[better], self.scores[worse]
            assert high is not None
            assert low is not None
            sure = strength(high - low, options.strength_scale)
        said = Ranking.pair(strength=sure, margin=margin, annotator_id=self.ranking.annotator_id)
        return replace(group, responses=(group.responses[better], group.responses[worse]), feedback=(said,))


def orders(group: Group, options: Options = DEFAULT) -> list[Order]:
    """Every order that somebody put the responses in: rankings, then scores, then thumbs."""
    found = [Order(ranking) for ranking in group.said(Ranking)]
    for scores in speaking(group.said(Scores), options.aspect):
        ranking = scores_ranking(scores, aspect=options.aspect, tolerance=options.tolerance)
        found.append(Order(ranking, aspect_values(scores, options.aspect)))
    found += [Order(labels_ranking(labels)) for labels in group.said(Labels)]
    if not found:
        raise _nothing_to_rank(group)
    return found


def rankings(group: Group, *, aspect: str | None = None, tolerance: float = 0.0) -> list[Group]:
    """One group for each ranking, and for each of the scores and thumbs the ranking that they imply."""
    return [replace(group, feedback=(o.ranking,)) for o in orders(group, Options(aspect, tolerance))]


def _nothing_to_rank(group: Group) -> DataError:
    kinds = " and ".join(sorted({type(f).__name__ for f in group.feedback})) or "no feedback"
    return DataError(
        f"the group has {kinds}, which puts nothing in order",
        remedy="Rankings, scores and thumbs give rankings and pairs; edits give pairs (--to revisions).",
    )


# ---- which pairs a ranking gives: (better, worse) by index ----------------------------------------------------------


def _levels(ranking: Ranking) -> list[list[int]]:
    """Indices by place, best first."""
    places = sorted({rank for rank in ranking.ranks if rank is not None})
    return [[i for i, rank in enumerate(ranking.ranks) if rank == place] for place in places]


def adjacent(ranking: Ranking) -> list[tuple[int, int]]:
    """Each place against the next: K - 1 pairs of a strict ranking of K; of ties, each with each."""
    levels = _levels(ranking)
    return [(i, j) for upper, lower in pairwise(levels) for i in upper for j in lower]


def ends(ranking: Ranking) -> list[tuple[int, int]]:
    """The best and the worst, the first of each where several tie; none where all tie."""
    levels = _levels(ranking)
    return [(levels[0][0], levels[-1][0])] if len(levels) > 1 else []


def best_first(ranking: Ranking) -> list[tuple[int, int]]:
    """The best against all the rest; each of them where several are best."""
    levels = _levels(ranking)
    return [(i, j) for i in levels[0] for level in levels[1:] for j in level] if levels else []


Choice = Callable[[Ranking], list[tuple[int, int]]]


def chosen_pairs(group: Group, choice: Choice, options: Options) -> list[Group]:
    """The pairs of every order of the group. Two equal responses are no pair, whatever was said of them."""
    return [
        order.pair(group, better, worse, options)
        for order in orders(group, options)
        for better, worse in choice(order.ranking)
        if group.responses[better] != group.responses[worse]
    ]


def pairs(group: Group, options: Options = DEFAULT) -> list[Group]:
    """Every (better, worse) pair; ties and unranked give none. K (K - 1) / 2 of a strict ranking of K."""
    return chosen_pairs(group, Ranking.pairs, options)


def adjacent_pairs(group: Group, options: Options = DEFAULT) -> list[Group]:
    """Each response and the next worse one: the fewest pairs that still say the whole order."""
    return chosen_pairs(group, adjacent, options)


def best_and_worst(group: Group, options: Options = DEFAULT) -> list[Group]:
    """The best and the worst of each ranking, as a group of two; the first of each where several tie, and none
    where all tie."""
    return chosen_pairs(group, ends, options)


def best_and_rest(group: Group, options: Options = DEFAULT) -> list[Group]:
    """The best with each that is worse."""
    return chosen_pairs(group, best_first, options)
