"""Rankings and thumbs as scores in 0..1. Pure functions."""

from __future__ import annotations

from dataclasses import replace

from truing.feedback.thumbs import no_feedback
from truing.group import Group, Labels, Ranking, Scores

__all__ = ["ranking_scores", "scores"]

SCALE = (0.0, 1.0)


def ranking_scores(said: Ranking) -> Scores:
    """The share of the others that a response is preferred to, a tie counting half; what is not ranked has none.

    1 for the best and 0 for the worst of a strict ranking, evenly spaced between; of a pair with a strength, the
    probabilities that each is preferred. Only the order is known: the even spacing is made up.
    """
    ranked = [rank for rank in said.ranks if rank is not None]
    if len(ranked) < 2:
        return Scores({"overall": (None,) * len(said.ranks)}, SCALE, said.annotator_id)
    sure = 1.0 if said.strength is None else said.strength

    def share(rank: int) -> float:
        ahead, level = sum(rank < other for other in ranked), ranked.count(rank) - 1
        behind = len(ranked) - 1 - ahead - level
        return (ahead * sure + level / 2 + behind * (1 - sure)) / (len(ranked) - 1)

    return Scores({"overall": tuple(None if r is None else share(r) for r in said.ranks)}, SCALE, said.annotator_id)


def _thumb_scores(said: Labels) -> Scores:
    values = tuple(None if thumb is None else float(thumb) for thumb in said.values)
    return Scores({"overall": values}, SCALE, said.annotator_id)


def scores(group: Group) -> list[Group]:
    """One group for each of the scores, which stay as they are; else for what each ranking says, else for thumbs: 1 for
    up and 0 for down."""
    told: list[Scores] = list(group.said(Scores))
    told = told or [ranking_scores(said) for said in group.said(Ranking)]
    told = told or [_thumb_scores(said) for said in group.said(Labels)]
    if not told:
        raise no_feedback(group, "scores", "Rankings and thumbs do; of marks on steps, make thumbs (--to labels).")
    return [replace(group, feedback=(said,)) for said in told if _speaks(said)]


def _speaks(said: Scores) -> bool:
    return any(value is not None for values in said.values.values() for value in values)
