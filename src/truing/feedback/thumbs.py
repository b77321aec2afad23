"""Thumbs, demonstrations and revisions out of other feedback. Pure functions."""

from __future__ import annotations

from dataclasses import replace

from truing.errors import DataError
from truing.feedback.orders import DEFAULT, Options, aspect_values, orders, speaking
from truing.group import Critique, Group, Labels, Ranking, Response, Scores, StepLabels

__all__ = ["demonstrations", "labels", "revisions"]


def no_feedback(group: Group, target: str, remedy: str) -> DataError:
    """The error of a group whose feedback gives nothing of the kind."""
    kinds = " and ".join(sorted({type(f).__name__ for f in group.feedback})) or "no feedback"
    return DataError(f"the group has {kinds}, which gives no {target}", remedy=remedy)


def _of_ranking(said: Ranking) -> Labels:
    given = [rank for rank in said.ranks if rank is not None]
    if len(set(given)) < 2:
        return Labels((None,) * len(said.ranks), said.annotator_id)
    ends = {min(given): True, max(given): False}
    return Labels(tuple(None if r is None else ends.get(r) for r in said.ranks), said.annotator_id)


def _of_scores(said: Scores, options: Options) -> Labels:
    threshold = options.threshold
    if threshold is None:
        if said.scale is None:
            raise DataError(
                "the scores have no scale, and nothing says from which score on a response is good",
                remedy="Give a `threshold`, or the column `scale`.",
            )
        threshold = sum(said.scale) / 2
    values = aspect_values(said, options.aspect)
    return Labels(tuple(None if v is None else v >= threshold for v in values), said.annotator_id)


def _of_steps(said: StepLabels) -> Labels:
    """Wrong if a step is wrong (more probably than right), right if every step was judged and none is wrong, else not
    known."""
    wrong = [any(mark is not None and mark < 0 for mark in marks) for marks in said.values]
    thumbs = (
        (False if bad else None if None in marks or not marks else True)
        for bad, marks in zip(wrong, said.values, strict=True)
    )
    return Labels(tuple(thumbs), said.annotator_id)


def thumbs(group: Group, options: Options = DEFAULT) -> list[Labels]:
    """Labels for all responses, of everybody who said something."""
    found = list(group.said(Labels))
    found += [_of_ranking(ranking) for ranking in group.said(Ranking)]
    found += [_of_scores(scores, options) for scores in speaking(group.said(Scores), options.aspect)]
    found += [_of_steps(steps) for steps in group.said(StepLabels)]
    if not found:
        raise no_feedback(group, "thumbs", "Rankings, scores and step labels do.")
    return found


def _whole(response: Response) -> Response:
    return replace(response, steps=())


def labels(group: Group, options: Options = DEFAULT) -> list[Group]:
    """One group a thumb: best or chosen = up, worst or rejected = down, in between none; scores from `threshold` on =
    up; a solution with a wrong step = down."""
    return [
        replace(group, responses=(_whole(response),), feedback=(Labels((thumb,), said.annotator_id),))
        for said in thumbs(group, options)
        for response, thumb in zip(group.responses, said.values, strict=True)
        if thumb is not None
    ]


def revisions(group: Group) -> list[Group]:
    """Each edit as a pair: the revision is preferred to the original. What was left as it is gives none."""
    critiques = group.said(Critique)
    if not critiques:
        raise no_feedback(group, "revisions", "Critiques with edits do.")
    return [
        replace(
            group,
            responses=(edit, original),
            feedback=(Ranking.pair(annotator_id=critique.annotator_id),),
        )
        for critique in critiques
        for original, edit in zip(group.responses, critique.edits, strict=False)
        if edit is not None and edit != original
    ]


def demonstrations(group: Group, options: Options = DEFAULT) -> list[Group]:
    """What is worth imitating: what an order puts first (none where all tie), every thumb up, every revision. A group
    that is a demonstration already stays."""
    if len(group.responses) == 1 and not group.feedback:
        return [group]
    best: list[Response] = [pair.responses[0] for pair in revisions(group)] if group.said(Critique) else []
    for said in group.said(Labels):
        best += [response for response, thumb in zip(group.responses, said.values, strict=True) if thumb]
    told = tuple(f for f in group.feedback if isinstance(f, (Ranking, Scores)))
    if told or not group.feedback:
        ordered = replace(group, feedback=told)
        for order in orders(ordered, options):
            given = [rank for rank in order.ranking.ranks if rank is not None]
            if len(set(given)) > 1:
                best.append(group.responses[order.ranking.ranks.index(min(given))])
    elif group.said(StepLabels) and not best:
        best = [made.responses[0] for made in labels(group, options) if made.feedback[0] == Labels((True,))]
    return [replace(group, responses=(_whole(response),), feedback=()) for response in dict.fromkeys(best)]
