"""Two responses, the first preferred: what the formats of pairs have in common."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from truing.errors import DataError
from truing.feedback.formats.base import given, only, unfit
from truing.feedback.formats.cells import Row, annotator, build, optional_number
from truing.group import Group, Message, Prompt, Ranking, Response

__all__ = ["COLUMNS", "compared", "ordered", "parted"]

COLUMNS = ("strength", "margin", "annotator_id")
"""What may be said about a pair besides the order."""


def parted(chosen: Sequence[Message], rejected: Sequence[Message], where: str) -> tuple[Prompt, Response, Response]:
    """Two whole conversations -> the prompt they share and what each goes on with.

    The prompt ends at the last shared point where both go on with the assistant and somebody else spoke before.
    Usually the responses are the last turns; where the conversations differ earlier, they are the turns from
    there on; where they are the same, the last assistant turns.
    """
    shared = 0
    for one, other in zip(chosen, rejected, strict=False):
        if one != other:
            break
        shared += 1
    for cut in range(min(shared, len(chosen) - 1, len(rejected) - 1), 0, -1):
        goes_on = chosen[cut].role == rejected[cut].role == "assistant"
        if goes_on and chosen[cut - 1].role != "assistant":
            return Prompt(tuple(chosen[:cut])), Response(tuple(chosen[cut:])), Response(tuple(rejected[cut:]))
    raise DataError(
        "`chosen` and `rejected` share no turn that an assistant answers",
        where=where,
        remedy="Both must begin with the same prompt; check that the two belong together.",
    )


def compared(
    prompt: Prompt, chosen: Response, rejected: Response, row: Row, where: str, columns: Mapping[str, Any]
) -> Group:
    """The group of a pair. Two equal responses are a tie, whatever the row says: nobody can prefer one of them."""
    said = build(
        where,
        Ranking,
        (1, 1) if chosen == rejected else (1, 2),
        strength=optional_number(row, "strength", where),
        margin=optional_number(row, "margin", where),
        annotator_id=annotator(row, where),
    )
    return Group(prompt, (chosen, rejected), (said,), columns)


def ordered(group: Group, format: str) -> tuple[Response, Response, dict[str, Any]]:
    """The better response, the worse, and the columns of the comparison."""
    said = only(group, Ranking, format)
    if len(said.ranks) != 2:
        raise unfit(format, f"a ranking of {len(said.ranks)}", "Convert to pairs first (convert --to pairs).")
    first, second = group.responses
    better = said.pairs()
    if not better and (None in said.ranks or first != second):
        raise unfit(format, "a tie" if None not in said.ranks else "a pair left unranked")
    if better == [(1, 0)]:
        first, second = second, first
    return first, second, given(strength=said.strength, margin=said.margin, annotator_id=said.annotator_id)
