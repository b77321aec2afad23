"""Scores of K: `prompt`, `responses`, and `scores`, a list of numbers or an object {aspect: list of numbers}.

null = not scored. Optional: `scale`, [lowest, highest], and `annotator_id`. A plain list is the aspect `overall`.
"""

from __future__ import annotations

from typing import Any

from truing.errors import DataError
from truing.feedback.formats.base import Format, as_value, given, has, joined, only, prompt_turns
from truing.feedback.formats.cells import Row, annotator, build, filled, items, number, prompt, rest, structured, wrong
from truing.feedback.formats.ranking import answers
from truing.group import Group, Scores

__all__ = ["FORMAT"]


def _numbers(value: Any, aspect: str, size: int, where: str) -> tuple[float | None, ...]:
    if not isinstance(value, list) or len(value) != size:
        raise DataError(
            f"`scores` has {value!r:.60} for {aspect}, and there are {size} responses",
            where=where,
            remedy="It should be one number (or null) a response.",
        )
    return tuple(None if v is None else number(v, "scores", where) for v in value)


def _scale(row: Row, where: str) -> tuple[float, float] | None:
    if not filled(row, "scale"):
        return None
    value = items(row, "scale", where)
    if len(value) != 2:
        raise wrong("scale", value, where, "It should be [lowest, highest].")
    low, high = (number(v, "scale", where) for v in value)
    if low >= high:
        raise wrong("scale", value, where, "It should be [lowest, highest].")
    return low, high


def read(row: Row, where: str) -> Group:
    responses = answers(row, where)
    found = structured(row, "scores", where)
    aspects = found if isinstance(found, dict) else {"overall": found}
    # Parquet gives every row the aspects of all rows, null where a row has none.
    values = {
        name: _numbers(value, name, len(responses), where) for name, value in aspects.items() if value is not None
    }
    said = build(where, Scores, values, scale=_scale(row, where), annotator_id=annotator(row, where))
    columns = rest(row, "prompt", "responses", "scores", "scale", "annotator_id")
    return Group(prompt(row, where), responses, (said,), columns)


def write(group: Group) -> dict[str, Any]:
    said = only(group, Scores, "scores")
    own = {
        "prompt": prompt_turns(group, "scores"),
        "responses": [as_value(r, "scores") for r in group.responses],
        "scores": {aspect: list(values) for aspect, values in said.values.items()},
        **given(scale=said.scale and list(said.scale), annotator_id=said.annotator_id),
    }
    return joined(own, group, "scores", "scale", "annotator_id")


FORMAT = Format(
    name="scores",
    needs=("prompt", "responses", "scores"),
    summary="scores: prompt, responses, scores (a list, or an object of lists by aspect)",
    sniff=has("prompt", "responses", "scores"),
    read=read,
    write=write,
)
