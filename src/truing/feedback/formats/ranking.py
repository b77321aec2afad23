"""Rankings of K: `prompt`, `responses`, and `ranking`, the indices in order of preference, best first.

A tie is a list in the list, `[[0, 2], 1]`; an index that is not named is left unranked. Optional: `annotator_id`, and
for two responses `strength` and `margin`.
"""

from __future__ import annotations

from typing import Any

from truing.errors import DataError
from truing.feedback.formats.base import Format, as_value, given, has, joined, only, prompt_turns, unfit
from truing.feedback.formats.cells import Row, annotator, build, items, optional_number, prompt, response, rest, shown
from truing.feedback.formats.comparison import COLUMNS
from truing.group import Group, Ranking, Response

__all__ = ["FORMAT", "answers", "order"]


def answers(row: Row, where: str) -> tuple[Response, ...]:
    """The column `responses`."""
    return tuple(response(value, "responses", where) for value in items(row, "responses", where))


def _ranks(value: list[Any], size: int, where: str) -> tuple[int | None, ...]:
    ranks: list[int | None] = [None] * size
    for place, tied in enumerate(value, 1):
        for index in tied if isinstance(tied, list) else [tied]:
            if isinstance(index, bool) or not isinstance(index, int) or not 0 <= index < size:
                hint = "Indices count from 0. " if index == size else ""
                raise DataError(
                    f"`ranking` names response {shown(index)}, and there are {size}",
                    where=where,
                    remedy=f"{hint}It lists indices 0..{size - 1} in order of preference, best first.",
                )
            if ranks[index] is not None:
                raise DataError(f"`ranking` names response {index} twice", where=where, remedy="Name each once.")
            ranks[index] = place
    return tuple(ranks)


def order(ranks: tuple[int | None, ...]) -> list[int | list[int]]:
    """Ranks -> indices in order of preference, ties as lists."""
    places = sorted({rank for rank in ranks if rank is not None})
    tied = [[i for i, rank in enumerate(ranks) if rank == place] for place in places]
    return [indices[0] if len(indices) == 1 else indices for indices in tied]


def read(row: Row, where: str) -> Group:
    responses = answers(row, where)
    said = build(
        where,
        Ranking,
        _ranks(items(row, "ranking", where), len(responses), where),
        strength=optional_number(row, "strength", where),
        margin=optional_number(row, "margin", where),
        annotator_id=annotator(row, where),
    )
    return Group(prompt(row, where), responses, (said,), rest(row, "prompt", "responses", "ranking", *COLUMNS))


def write(group: Group) -> dict[str, Any]:
    said = only(group, Ranking, "ranking")
    indices = order(said.ranks)
    if not indices:
        raise unfit("ranking", "a ranking that ranks nobody")
    own = {
        "prompt": prompt_turns(group, "ranking"),
        "responses": [as_value(r, "ranking") for r in group.responses],
        "ranking": indices,
        **given(strength=said.strength, margin=said.margin, annotator_id=said.annotator_id),
    }
    return joined(own, group, "ranking", *COLUMNS)


FORMAT = Format(
    name="ranking",
    needs=("prompt", "responses", "ranking"),
    summary="rankings: prompt, responses, ranking as indices, best first",
    sniff=has("prompt", "responses", "ranking"),
    read=read,
    write=write,
)
