"""PandaLM's test set (arXiv:2306.05087): `instruction`, `input`, `response1`, `response2` and three verdicts,
`annotator1`..`annotator3`: 1 or 2 = the better one, 0 = a tie.

One group with a ranking for each annotator. `annotator1` is a column and not a person: three people are called
the same in every row. The published file turned the answer "True" into true; it becomes text again.
"""

from __future__ import annotations

from typing import Any

from truing.feedback.formats.base import Format, has, read_only
from truing.feedback.formats.cells import Row, cell, column_error, filled, rest, text, wrong
from truing.group import Group, Prompt, Ranking, Response

__all__ = ["FORMAT"]

ANNOTATORS = ("annotator1", "annotator2", "annotator3")
_RANKS = {0: (1, 1), 1: (1, 2), 2: (2, 1)}


def _answer(row: Row, column: str, where: str) -> Response:
    value: Any = row.get(column)
    if column not in row or value is None:
        raise column_error(row, column, where)
    if isinstance(value, bool):
        value = str(value)
    # Empty is allowed: it is what the annotators were shown.
    return Response.of(text({column: value}, column, where) if not isinstance(value, str) or value.strip() else "")


def _verdict(row: Row, who: str, where: str) -> Ranking:
    value = cell(row, who, where)
    if isinstance(value, bool) or value not in (0, 1, 2):
        raise wrong(who, value, where, "It should be 1 or 2, the better response, or 0 for a tie.")
    return Ranking(_RANKS[int(value)], annotator_id=who)


def read(row: Row, where: str) -> Group:
    # Either may be missing: some rows ask by their input alone.
    parts = [text(row, column, where) for column in ("instruction", "input") if filled(row, column)]
    if not parts:
        raise column_error(row, "instruction", where)
    answers = (_answer(row, "response1", where), _answer(row, "response2", where))
    said = tuple(_verdict(row, who, where) for who in ANNOTATORS)
    columns = rest(row, "instruction", "input", "response1", "response2", *ANNOTATORS)
    return Group(Prompt.of("\n\n".join(parts)), answers, said, columns)


FORMAT = Format(
    name="pandalm",
    needs=("instruction", "response1", "response2", *ANNOTATORS),
    summary=f"pairs with three verdicts: instruction, input, response1, response2, {', '.join(ANNOTATORS)} (PandaLM)",
    sniff=has("instruction", "response1", "response2", *ANNOTATORS),
    read=read,
    write=read_only("pandalm"),
    writes=False,
)
