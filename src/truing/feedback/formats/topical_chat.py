"""Likert scores of the USR study on Topical-Chat (arXiv:2005.00456): `source` (turns, one a line), `context` (the fact
to talk about), `system_output` and `scores`, the mean of three raters for six aspects.

Each scale makes a feedback of its own, `overall` first. The fact becomes the system's turn: groundedness is judged
against it. The last line of the source is the user's, and they take turns back from there.
"""

from __future__ import annotations

from typing import Any

from truing.errors import DataError
from truing.feedback.formats.base import Format, has, read_only
from truing.feedback.formats.cells import Row, build, filled, number, rest, shown, structured, text
from truing.group import Group, Message, Prompt, Response, Scores

__all__ = ["FORMAT"]

SCALES: dict[tuple[float, float], tuple[str, ...]] = {
    (1.0, 5.0): ("overall",),
    (1.0, 3.0): ("naturalness", "coherence", "engagingness"),
    (0.0, 1.0): ("groundedness", "understandability"),
}


def _scores(found: Any, where: str) -> tuple[Scores, ...]:
    known = [aspect for aspects in SCALES.values() for aspect in aspects]
    if not isinstance(found, dict) or not found or set(found) - set(known):
        raise DataError(f"`scores` is {shown(found)}", where=where, remedy=f"Known aspects: {', '.join(known)}.")
    return tuple(
        build(where, Scores, {a: (number(found[a], a, where),) for a in aspects if a in found}, scale=scale)
        for scale, aspects in SCALES.items()
        if any(aspect in found for aspect in aspects)
    )


def _asked(row: Row, where: str) -> Prompt:
    lines = [line.strip() for line in text(row, "source", where).split("\n") if line.strip()]
    roles = ("user", "assistant")
    turns = [Message(roles[(len(lines) - 1 - i) % 2], line) for i, line in enumerate(lines)]
    head = [Message("system", text(row, "context", where).strip())] if filled(row, "context") else []
    return Prompt((*head, *turns))


def read(row: Row, where: str) -> Group:
    answer = Response.of(text(row, "system_output", where).strip())
    columns = rest(row, "source", "context", "system_output", "scores")
    return Group(_asked(row, where), (answer,), _scores(structured(row, "scores", where), where), columns)


FORMAT = Format(
    name="topical_chat",
    needs=("source", "context", "system_output", "scores"),
    summary="scores of six aspects: source, context, system_output, scores (Topical-Chat, USR)",
    sniff=has("source", "context", "system_output", "scores"),
    read=read,
    write=read_only("topical_chat"),
    writes=False,
)
