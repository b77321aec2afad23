"""First errors of BIG-Bench-Mistake (arXiv:2311.08516): `input`, `steps`, `mistake_index` from 0, null = no mistake."""

from __future__ import annotations

from truing.errors import DataError
from truing.feedback.formats.base import Format, has, read_only
from truing.feedback.formats.cells import Row, column_error, rest, text
from truing.feedback.formats.first_error import marked, solution
from truing.group import Group, Prompt

__all__ = ["FORMAT"]


def read(row: Row, where: str) -> Group:
    if "mistake_index" not in row:  # null means that all is right, a missing column does not
        raise column_error(row, "mistake_index", where)
    place = row["mistake_index"]
    if isinstance(place, str):
        raise DataError(
            f"column `mistake_index` holds {place!r:.60}", where=where, remedy="It should be a number, or null."
        )
    answer = solution(row, "steps", where)
    said = marked(answer, place, "mistake_index", where, first=0)
    return Group(Prompt.of(text(row, "input", where)), (answer,), (said,), rest(row, "input", "steps", "mistake_index"))


FORMAT = Format(
    name="bigbench_mistake",
    needs=("input", "steps", "mistake_index"),
    summary="first errors, counted from 0: input, steps, mistake_index (BIG-Bench-Mistake)",
    sniff=has("input", "steps", "mistake_index"),
    read=read,
    write=read_only("bigbench_mistake"),
    writes=False,
)
