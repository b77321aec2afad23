"""TRL's preference pairs: `prompt`, `chosen`, `rejected`, or `chosen` and `rejected` as whole conversations.

`chosen` and `rejected` may be text or turns; as turns they may repeat the prompt, as some hub data sets do.
Optional: `strength` (0.5..1), `margin`, `annotator_id`.
"""

from __future__ import annotations

from typing import Any

from truing.errors import DataError
from truing.feedback.formats.base import Format, as_value, has, joined, prompt_turns
from truing.feedback.formats.cells import Row, cell, filled, prompt, response, rest, text, turns
from truing.feedback.formats.comparison import COLUMNS, compared, ordered, parted
from truing.group import Group, Prompt, Response

__all__ = ["FORMAT"]


def _answer(row: Row, column: str, asked: Prompt, where: str) -> Response:
    value = cell(row, column, where)
    if isinstance(value, str):
        return Response.of(text(row, column, where))
    size = len(asked.messages)
    whole = turns(value, column, where)
    return response(value[size:] if whole[:size] == asked.messages else value, column, where)


def read(row: Row, where: str) -> Group:
    columns = rest(row, "prompt", "chosen", "rejected", *COLUMNS)
    if filled(row, "prompt"):
        asked = prompt(row, where)
        answers = (_answer(row, "chosen", asked, where), _answer(row, "rejected", asked, where))
        return compared(asked, *answers, row, where, columns)
    chosen, rejected = cell(row, "chosen", where), cell(row, "rejected", where)
    if isinstance(chosen, str) or isinstance(rejected, str):
        raise DataError(
            "there is no column `prompt`, and `chosen` and `rejected` are text",
            where=where,
            remedy="Add a column `prompt`, or write `chosen` and `rejected` as lists of turns from the first one on.",
        )
    parts = parted(turns(chosen, "chosen", where), turns(rejected, "rejected", where), where)
    return compared(*parts, row, where, columns)


def write(group: Group) -> dict[str, Any]:
    chosen, rejected, about = ordered(group, "preference")
    own = {
        "prompt": prompt_turns(group, "preference"),
        "chosen": as_value(chosen, "preference"),
        "rejected": as_value(rejected, "preference"),
        **about,
    }
    return joined(own, group, "preference", *COLUMNS)


FORMAT = Format(
    name="preference",
    needs=("chosen", "rejected"),
    summary="pairs: prompt, chosen, rejected (TRL)",
    sniff=has("chosen", "rejected"),
    read=read,
    write=write,
)
