"""Right and wrong steps: `prompt`, `completions` (the steps, in order) and `labels` (TRL's stepwise supervision).

A label is true, false, null (not judged) or "neutral"; 1 and -1 count as true and false. A plain 0 is refused: in some
files it means wrong and in others neutral.
"""

from __future__ import annotations

from typing import Any

from truing.errors import DataError
from truing.feedback.formats.base import Format, given, has, joined, only, prompt_turns, unfit
from truing.feedback.formats.cells import Row, annotator, items, prompt, rest, wrong
from truing.group import Group, Response, StepLabels

__all__ = ["FORMAT"]

_MARKS: dict[Any, int | None] = {True: 1, False: -1, None: None, "neutral": 0}
_WORDS: dict[int | None, Any] = {1: True, -1: False, None: None, 0: "neutral"}


def _mark(value: Any, position: int, where: str) -> int | None:
    if isinstance(value, bool) or value is None or value == "neutral":
        return _MARKS[value]
    if isinstance(value, int) and value in (1, -1):
        return value
    raise DataError(
        f"label {position} of `labels` is {value!r}",
        where=where,
        remedy='Write true, false, "neutral" or null; 0 could mean wrong or neutral.',
    )


def read(row: Row, where: str) -> Group:
    steps, labels = items(row, "completions", where), items(row, "labels", where)
    if not all(isinstance(step, str) and step.strip() for step in steps):
        raise wrong("completions", steps, where, "It should be a list of steps, each of them text.")
    if len(steps) != len(labels):
        raise DataError(
            f"{len(steps)} steps in `completions` and {len(labels)} in `labels`",
            where=where,
            remedy="One label a step.",
        )
    marks = tuple(_mark(value, position, where) for position, value in enumerate(labels, 1))
    columns = rest(row, "prompt", "completions", "labels", "annotator_id")
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
    own = {
        "prompt": prompt_turns(group, "stepwise"),
        "completions": list(steps),
        "labels": [_WORDS[mark] for mark in marks],
        **given(annotator_id=said.annotator_id),
    }
    return joined(own, group, "stepwise", "annotator_id")


FORMAT = Format(
    name="stepwise",
    needs=("prompt", "completions", "labels"),
    summary="marks on reasoning steps: prompt, completions, labels (TRL)",
    sniff=has("prompt", "completions", "labels"),
    read=read,
    write=write,
)
