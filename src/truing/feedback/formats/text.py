"""Plain text to be continued from nothing: `text`."""

from __future__ import annotations

from typing import Any

from truing.feedback.formats import cells
from truing.feedback.formats.base import Format, bare, has, joined, unfit
from truing.feedback.formats.cells import Row, rest
from truing.group import Group, Prompt, Response

__all__ = ["FORMAT"]


def read(row: Row, where: str) -> Group:
    return Group(Prompt(), (Response.of(cells.text(row, "text", where)),), columns=rest(row, "text"))


def write(group: Group) -> dict[str, Any]:
    (answer,) = bare(group, 1, "text")
    if group.prompt.messages or answer != Response.of(answer.text) or not answer.text.strip():
        raise unfit("text", "a conversation", "Format `messages` holds conversations.")
    return joined({"text": answer.text}, group, "text")


FORMAT = Format(name="text", needs=("text",), summary="plain text: text", sniff=has("text"), read=read, write=write)
