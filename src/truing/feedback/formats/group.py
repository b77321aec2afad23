"""Any group at all: `prompt`, `responses` and `feedback`, a list of objects with their `kind`.

    {"prompt": [turns], "responses": [{"messages": [turns], "steps": [...]}],
     "feedback": [{"kind": "ranking", "ranks": [1, 2, null], "annotator_id": "ann"}]}

Responses may also be text or turns, and `feedback` may be missing: samples that nobody has judged.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from truing.errors import DataError
from truing.feedback.formats.base import Format, given, has, joined
from truing.feedback.formats.cells import (
    Row,
    annotator,
    build,
    cell,
    filled,
    items,
    near,
    number,
    optional_number,
    prompt,
    response,
    rest,
    shown,
    structured,
    turns,
)
from truing.group import (
    Critique,
    Feedback,
    Group,
    Labels,
    Message,
    Prompt,
    Ranking,
    Response,
    Scores,
    StepLabels,
)

__all__ = ["FORMAT", "as_feedback", "as_said"]


def _prompt(row: Row, where: str) -> Prompt:
    value = cell(row, "prompt", where)
    if value == []:
        return Prompt()
    return prompt(row, where) if isinstance(value, str) else Prompt(turns(value, "prompt", where))


def _response(value: Any, column: str, where: str) -> Response:
    if not isinstance(value, dict):
        return response(value, column, where)
    messages = value.get("messages") or []
    steps = value.get("steps") or []
    if not isinstance(steps, list) or not all(isinstance(step, str) for step in steps):
        raise DataError(f"a response in `{column}` has the steps {shown(steps)}", where=where, remedy="A list of text.")
    return Response(turns(messages, column, where) if messages else (), tuple(steps))


def _values(said: Row, key: str, where: str) -> list[Any]:
    value = said.get(key)
    if not isinstance(value, list):
        raise DataError(
            f"{said.get('kind')} in `feedback` has {shown(value)} as `{key}`",
            where=where,
            remedy="It should be a list.",
        )
    return value


def _ranking(said: Row, where: str) -> Ranking:
    ranks = _values(said, "ranks", where)
    if not all(rank is None or (isinstance(rank, int) and not isinstance(rank, bool)) for rank in ranks):
        raise DataError(f"`ranks` is {shown(ranks)}", where=where, remedy="It should be 1 (best), 2, ... or null each.")
    strength, margin = optional_number(said, "strength", where), optional_number(said, "margin", where)
    return Ranking(tuple(ranks), strength, margin, annotator(said, where))


def _scores(said: Row, where: str) -> Scores:
    aspects = structured(said, "values", where)
    if not isinstance(aspects, dict):
        raise DataError(f"`values` of scores is {shown(aspects)}", where=where, remedy="An object of lists by aspect.")
    values = {
        aspect: tuple(None if v is None else number(v, aspect, where) for v in _values(aspects, aspect, where))
        for aspect in aspects
        if aspects[aspect] is not None
    }
    scale = [number(v, "scale", where) for v in items(said, "scale", where)] if filled(said, "scale") else None
    if scale is not None and len(scale) != 2:
        raise DataError(f"`scale` is {scale}", where=where, remedy="It should be [lowest, highest].")
    return Scores(values, (scale[0], scale[1]) if scale else None, annotator(said, where))


def _labels(said: Row, where: str) -> Labels:
    values = _values(said, "values", where)
    if not all(v is None or isinstance(v, bool) for v in values):
        raise DataError(f"`values` of labels is {shown(values)}", where=where, remedy="true, false or null each.")
    return Labels(tuple(values), annotator(said, where))


def _step_labels(said: Row, where: str) -> StepLabels:
    values = _values(said, "values", where)
    whole = all(
        isinstance(row, list)
        and all(v is None or (isinstance(v, (int, float)) and not isinstance(v, bool)) for v in row)
        for row in values
    )
    if not whole:
        raise DataError(
            f"`values` of step labels is {shown(values)}",
            where=where,
            remedy="Lists of 1, 0, -1 or null; for a probability p that a step is right, 2p - 1.",
        )
    return StepLabels(tuple(map(tuple, values)), annotator(said, where))


def _critique(said: Row, where: str) -> Critique:
    texts, edits = _values(said, "texts", where), said.get("edits") or []
    if not all(t is None or isinstance(t, str) for t in texts) or not isinstance(edits, list):
        raise DataError(f"a critique holds {shown(texts)}", where=where, remedy="`texts` should be text or null each.")
    read = tuple(None if e is None else _response(e, "edits", where) for e in edits)
    return Critique(tuple(texts), read, annotator(said, where))


_KINDS: dict[str, Callable[[Row, str], Feedback]] = {
    "ranking": _ranking,
    "scores": _scores,
    "labels": _labels,
    "step_labels": _step_labels,
    "critique": _critique,
}


def as_said(value: Any, where: str) -> Feedback:
    """One feedback from its object."""
    if not isinstance(value, dict) or not isinstance(value.get("kind"), str):
        raise DataError(f"`feedback` holds {shown(value)}", where=where, remedy="An object with a `kind` each.")
    kind = value["kind"]
    if kind not in _KINDS:
        meant = near(kind, _KINDS)
        raise DataError(
            f"`feedback` is of the kind {kind!r}",
            where=where,
            remedy=(f"Did you mean `{meant}`? " if meant else "") + f"Known: {', '.join(_KINDS)}.",
        )
    return build(where, _KINDS[kind], value, where)


def read(row: Row, where: str) -> Group:
    responses = structured(row, "responses", where)
    feedback = structured(row, "feedback", where) if filled(row, "feedback") else []
    for column, value in (("responses", responses), ("feedback", feedback)):
        if not isinstance(value, list):
            raise DataError(f"column `{column}` holds {shown(value)}", where=where, remedy="It should be a list.")
    return build(
        where,
        Group,
        _prompt(row, where),
        tuple(_response(value, "responses", where) for value in responses),
        tuple(as_said(value, where) for value in feedback),
        rest(row, "prompt", "responses", "feedback"),
    )


def _turns(messages: tuple[Message, ...]) -> list[dict[str, str]]:
    return [{"role": m.role, "content": m.content} for m in messages]


def _as_response(value: Response) -> dict[str, Any]:
    return {"messages": _turns(value.messages), "steps": list(value.steps)}


def as_feedback(said: Feedback) -> dict[str, Any]:
    """One feedback as an object with its `kind`."""
    match said:
        case Ranking(ranks=ranks, strength=strength, margin=margin):
            own: dict[str, Any] = {"kind": "ranking", "ranks": list(ranks), **given(strength=strength, margin=margin)}
        case Scores(values=aspects, scale=scale):
            own = {"kind": "scores", "values": {a: list(v) for a, v in aspects.items()}}
            own |= given(scale=list(scale) if scale else None)
        case Labels(values=labels):
            own = {"kind": "labels", "values": list(labels)}
        case StepLabels(values=marks):
            own = {"kind": "step_labels", "values": [list(row) for row in marks]}
        case Critique(texts=texts, edits=edits):
            own = {
                "kind": "critique",
                "texts": list(texts),
                "edits": [None if e is None else _as_response(e) for e in edits],
            }
    return own | given(annotator_id=said.annotator_id)


def write(group: Group) -> dict[str, Any]:
    own = {
        "prompt": _turns(group.prompt.messages),
        "responses": [_as_response(r) for r in group.responses],
        "feedback": [as_feedback(f) for f in group.feedback],
    }
    return joined(own, group, "group")


_judged = has("prompt", "responses", "feedback")
_unjudged = has("prompt", "responses", unlike=("ranking", "scores", "feedback"))


def _sniff(row: Row) -> bool:
    return _judged(row) or _unjudged(row)


FORMAT = Format(
    name="group",
    needs=("prompt", "responses"),
    summary="any group: prompt, responses, feedback (Truing's own)",
    sniff=_sniff,
    read=read,
    write=write,
)
