"""The place of a solution's first wrong step: what the formats that give only that have in common."""

from __future__ import annotations

from typing import Any

from truing.errors import DataError
from truing.feedback.formats.cells import Row, items, shown, wrong
from truing.group import Response, StepLabels

__all__ = ["marked", "solution"]


def solution(row: Row, column: str, where: str) -> Response:
    """A column of steps, in order."""
    steps = items(row, column, where)
    if not all(isinstance(step, str) and step.strip() for step in steps):
        raise wrong(column, steps, where, "It should be a list of steps, each of them text.")
    return Response.of_steps(steps)


def marked(answer: Response, place: Any, column: str, where: str, *, first: int) -> StepLabels:
    """Right before the first error, wrong at it, None after it; all right where `place` is None.

    What follows an error was not judged: it may be sound work on a wrong number. `first` is the number of the first
    step, 0 or 1: files differ.
    """
    size = len(answer.steps)
    if place is None:
        return StepLabels(((1,) * size,))
    if isinstance(place, bool) or not isinstance(place, int) or not first <= place < first + size:
        raise DataError(
            f"column `{column}` holds {shown(place)}, and there are {size} steps",
            where=where,
            remedy=f"It should be the number of a step, {first}..{first + size - 1}.",
        )
    before = place - first
    return StepLabels(((1,) * before + (-1,) + (None,) * (size - before - 1),))
