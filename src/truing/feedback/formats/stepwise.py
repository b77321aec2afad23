"""Right and wrong steps: `prompt`, `completions` (the steps, in order) and `labels` (TRL's stepwise supervision).

A label is true, false, null (not judged) or "neutral"; 1 and -1 count as true and false. A plain 0 is refused: in some
files it means wrong and in others neutral.

With `probabilities` in place of `labels` each step has the probability that it is right, 0..1 or null: the share of
rollouts from there that succeed (soft estimates of Math-Shepherd, arXiv:2312.08935), or of annotators.
"""

from __future__ import annotations

from typing import Any

from truing.errors import DataError
from truing.feedback.formats.base import Format, given, has, joined, only, prompt_turns, unfit
from truing.feedback.formats.cells import Row, annotator, filled, items, prompt, rest, wrong
from truing.group import Group, Response, StepLabels

__all__ = ["FORMAT"]

_MARKS: dict[Any, int | None] = {True: 1, False: -1, None: None, "neutral": 0}
_WORDS: dict[float | None, Any] = {1: True, -1: False, None: None, 0: "neutral"}


def _mark(value: Any, position: int, where: str) -> float | None:
    if isinstance(value, bool) or value is None or value == "neutral":
        return _MARKS[value]
    if isinstance(value, int) and value in (1, -1):
        return value
    if isinstance(value, float) and 0 < value < 1:
        remedy = "Where the labels are probabilities, name the column `probabilities`: there 0 is wrong and 1 right."
    else:
        remedy = 'Write true, false, "neutral" or null; 0 could mean wrong or neutral.'
    raise DataError(f"label {position} of `labels` is {value!r:.40}", where=where, remedy=remedy)


def _soft(value: Any, position: int, where: str) -> float | None:
    if value is None:
        return None
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise DataError(
            f"number {position} of `probabilities` is {value!r:.40}",
            where=where,
            remedy="Each is the probability, from 0 to 1, that the step is right; null where nobody knows.",
        )
    return 2 * value - 1


def _probability(mark: float | None) -> float | None:
    """What was read as this mark: the shorter spelling, where rounding made two."""
    if mark is None:
        return None
    found = (mark + 1) / 2
    short = round(found, 15)
    return short if 2 * short - 1 == mark else found


def read(row: Row, where: str) -> Group:
    if filled(row, "labels") and filled(row, "probabilities"):
        raise DataError(
            "it has `labels` and `probabilities` of the steps", where=where, remedy="Drop one of the two columns."
        )
    column = "probabilities" if filled(row, "probabilities") else "labels"
    steps, labels = items(row, "completions", where), items(row, column, where)
    if not all(isinstance(step, str) and step.strip() for step in steps):
        raise wrong("completions", steps, where, "It should be a list of steps, each of them text.")
    if len(steps) != len(labels):
        raise DataError(
            f"{len(steps)} steps in `completions` and {len(labels)} in `{column}`",
            where=where,
            remedy="One a step.",
        )
    read_one = _mark if column == "labels" else _soft
    marks = tuple(read_one(value, position, where) for position, value in enumerate(labels, 1))
    columns = rest(row, "prompt", "completions", "labels", "probabilities", "annotator_id")
    said = StepLabels((marks,), annotator(row, where))
    return Group(prompt(row, where), (Response.of_steps(steps),), (said,), columns)


def write(group: Group) -> dict[str, Any]:
    said = only(group, StepLabels, "stepwise")
    if len(group.responses) != 1:
        raise unfit("stepwise", f"a group of {len(group.responses)}")
    steps, marks = group.responses[0].steps, said.values[0]
    if not steps or len(steps) != len(marks) or not all(step.strip() for step in steps):
        raise unfit("stepwise", "a response without a label for each of its steps")
    if group.responses[0] != Response.of_steps(steps):
        raise unfit("stepwise", "a response whose steps are not one a line")
    told = (
        {"probabilities": [_probability(mark) for mark in marks]}
        if said.soft
        else {"labels": [_WORDS[m] for m in marks]}
    )
    own = {
        "prompt": prompt_turns(group, "stepwise"),
        "completions": list(steps),
        **told,
        **given(annotator_id=said.annotator_id),
    }
    return joined(own, group, "stepwise", "labels", "probabilities", "annotator_id")


_marked, _estimated = has("prompt", "completions", "labels"), has("prompt", "completions", "probabilities")


def _sniff(row: Row) -> bool:
    return _marked(row) or _estimated(row)


FORMAT = Format(
    name="stepwise",
    needs=("prompt", "completions", "labels"),
    summary="marks on reasoning steps: prompt, completions, labels (TRL), or probabilities",
    sniff=_sniff,
    read=read,
    write=write,
)
