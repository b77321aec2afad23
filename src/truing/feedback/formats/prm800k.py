"""PRM800K (arXiv:2305.20050): `question` and `label`, whose steps each have several rated completions.

The first response is the way that the labeler went: at each step the completion that was chosen, or that the labeler
wrote, and at the end of a way that ends in an error the first completion. Every other completion is a response of its
own: the way up to it and then itself, marked only there, so that no mark counts twice. Ratings 1, 0 and -1 are right,
neutral and wrong; what a labeler wrote has none.
"""

from __future__ import annotations

from typing import Any

from truing.errors import DataError
from truing.feedback.formats.base import Format, read_only
from truing.feedback.formats.cells import Row, build, rest, shown, structured, text
from truing.group import Group, Prompt, Response, StepLabels

__all__ = ["FORMAT"]

Rated = tuple[str, int | None]


def _rated(value: Any, number: int, where: str) -> Rated:
    if not isinstance(value, dict) or not isinstance(value.get("text"), str) or not value["text"].strip():
        raise DataError(f"step {number} has the completion {shown(value)}", where=where, remedy="It needs a `text`.")
    rating = value.get("rating")
    if rating is not None and (isinstance(rating, bool) or rating not in (1, 0, -1)):
        raise DataError(
            f"step {number} has a completion rated {shown(rating)}", where=where, remedy="Ratings are 1, 0, -1 or null."
        )
    return text(value, "text", where), None if rating is None else int(rating)


def _step(value: Any, number: int, where: str) -> tuple[list[Rated], Rated | None, int | None]:
    """Its completions, what the labeler wrote instead, and which completion was chosen."""
    if not isinstance(value, dict) or not isinstance(value.get("completions") or [], list):
        raise DataError(f"step {number} is {shown(value)}", where=where, remedy="A step is an object of PRM800K.")
    completions = [_rated(each, number, where) for each in value.get("completions") or []]
    human = value.get("human_completion")
    chosen = value.get("chosen_completion")
    valid = chosen is None or (
        isinstance(chosen, int) and not isinstance(chosen, bool) and 0 <= chosen < len(completions)
    )
    if not valid:
        raise DataError(
            f"step {number} chose completion {shown(chosen)}, and there are {len(completions)}",
            where=where,
            remedy="`chosen_completion` counts from 0; null where none was chosen.",
        )
    return completions, None if human is None else _rated(human, number, where), chosen


def _ways(steps: list[Any], where: str) -> list[list[Rated]]:
    """The labeler's way first, then each completion that was not gone on with."""
    way: list[Rated] = []
    others: list[list[Rated]] = []
    for number, value in enumerate(steps, 1):
        completions, human, chosen = _step(value, number, where)
        if chosen is None and human is None and number < len(steps):
            raise DataError(
                f"step {number} of {len(steps)} chose no completion", where=where, remedy="Only the last one may."
            )
        if human is None and chosen is None:
            if not completions:
                break
            chosen = 0
        before: list[Rated] = [(words, None) for words, _ in way]
        others += [[*before, each] for index, each in enumerate(completions) if index != chosen or human is not None]
        way = [*way, human if human is not None else completions[chosen or 0]]
    return [way, *others] if way else others


def read(row: Row, where: str) -> Group:
    question, label = structured(row, "question", where), structured(row, "label", where)
    if not isinstance(question, dict) or not isinstance(label, dict):
        raise DataError("`question` and `label` are not objects", where=where, remedy="This is not PRM800K.")
    steps = label.get("steps")
    if not isinstance(steps, list) or not steps:
        raise DataError(f"`label` has the steps {shown(steps)}", where=where, remedy="It should be a list of steps.")
    ways = [way for way in _ways(steps, where) if any(mark is not None for _, mark in way)]
    if not ways:
        raise DataError("no completion is rated", where=where, remedy="Leave the row out (--skip-bad does).")
    said = build(
        where, StepLabels, tuple(tuple(mark for _, mark in way) for way in ways), _labeler(row.get("labeler"), where)
    )
    columns = rest(row, "question", "label", "labeler")
    columns |= {name: value for name, value in question.items() if name.startswith("ground_truth")}
    columns["finish_reason"] = label.get("finish_reason")
    responses = tuple(Response.of_steps([words for words, _ in way]) for way in ways)
    return Group(Prompt.of(text(question, "problem", where)), responses, (said,), columns)


def _labeler(value: Any, where: str) -> str | None:
    if value is not None and not isinstance(value, str):
        raise DataError(f"`labeler` is {shown(value)}", where=where, remedy="It should be text.")
    return value or None


FORMAT = Format(
    name="prm800k",
    needs=("question", "label"),
    summary="rated steps with alternatives: question, label (PRM800K)",
    sniff=lambda row: all(isinstance(row.get(column), dict) for column in ("question", "label")),
    read=read,
    write=read_only("prm800k"),
    writes=False,
)
