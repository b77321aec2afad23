"""Instructions of Alpaca: `instruction`, `input` (may be empty) and `output`; optional text `system`.

Instruction and input become one user turn with an empty line between; the input also stays a column, so that the two
can be told apart again.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from truing.errors import DataError
from truing.feedback.formats.base import Format, bare, has, joined, unfit
from truing.feedback.formats.cells import Row, demonstrated, filled, rest, text
from truing.group import Group, Prompt, Response

__all__ = ["FORMAT"]


def read(row: Row, where: str) -> Group:
    if row.get("history"):
        raise DataError(
            "the row has earlier turns in `history`",
            where=where,
            remedy="Write the conversation as `messages`.",
        )
    asked, columns = text(row, "instruction", where), rest(row, "instruction", "input", "output", "system", "history")
    if filled(row, "input"):
        columns["input"] = text(row, "input", where)
        asked = f"{asked}\n\n{columns['input']}"
    system = text(row, "system", where) if filled(row, "system") else None
    answer = demonstrated(Response.of(text(row, "output", where)), "output", where)
    return Group(Prompt.of(asked, system=system), (answer,), columns=columns)


def write(group: Group) -> dict[str, Any]:
    (answer,) = bare(group, 1, "alpaca")
    *head, asked = group.prompt.messages or (None,)
    roles = [m.role for m in group.prompt.messages]
    if roles not in (["user"], ["system", "user"]) or answer != Response.of(answer.text) or asked is None:
        raise unfit("alpaca", "a conversation of several turns", "Format `messages` holds conversations.")
    given = group.columns["input"] if filled(group.columns, "input") else ""
    if given != "" and not (isinstance(given, str) and asked.content.endswith(f"\n\n{given}")):
        raise unfit("alpaca", "the group's extra column `input`, which is not the end of its prompt,")
    instruction = asked.content[: -len(given) - 2] if given else asked.content
    own = {"instruction": instruction, "input": given, "output": answer.text}
    if head:
        own["system"] = head[0].content
    if not all(own[name].strip() for name in own if name != "input"):
        raise unfit("alpaca", "a group with a blank turn")
    if not given:  # a blank input is no input
        group = replace(group, columns=rest(group.columns, "input"))
    return joined(own, group, "alpaca", "system", "history")


FORMAT = Format(
    name="alpaca",
    needs=("instruction", "output"),
    summary="demonstrations: instruction, input, output (Alpaca)",
    sniff=has("instruction", "output"),
    read=read,
    write=write,
)
