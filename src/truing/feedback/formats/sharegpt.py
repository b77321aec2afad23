"""Conversations of ShareGPT: `conversations`, a list of turns with `from` and `value`; optional text `system`."""

from __future__ import annotations

from typing import Any

from truing.feedback.formats.base import Format, has, joined
from truing.feedback.formats.cells import Row, demonstrated, filled, rest, structured, text, turns
from truing.feedback.formats.messages import split, whole
from truing.group import Group, Message

__all__ = ["FORMAT"]

_ROLES = {
    "human": "user",
    "user": "user",
    "gpt": "assistant",
    "assistant": "assistant",
    "chatgpt": "assistant",
    "model": "assistant",
    "system": "system",
    "tool": "tool",
    "observation": "tool",
}
_NAMES = {"user": "human", "assistant": "gpt", "system": "system", "tool": "tool"}


def read(row: Row, where: str) -> Group:
    value = structured(row, "conversations", where)
    plain = isinstance(value, list) and bool(value) and isinstance(value[0], dict) and "role" in value[0]
    keys = ("role", "content") if plain else ("from", "value")
    messages = turns(value, "conversations", where, keys=keys, aliases=_ROLES)
    own = ("conversations", "system") if filled(row, "system") else ("conversations",)
    if filled(row, "system"):
        messages = (Message("system", text(row, "system", where)), *messages)
    asked, answer = split(messages, "conversations", where)
    return Group(asked, (demonstrated(answer, "conversations", where),), columns=rest(row, *own))


def write(group: Group) -> dict[str, Any]:
    turned = [{"from": _NAMES[m.role], "value": m.content} for m in whole(group, "sharegpt")]
    if not filled(group.columns, "system"):
        return joined({"conversations": turned}, group, "sharegpt")
    return joined({"conversations": turned}, group, "sharegpt", "system")


FORMAT = Format(
    name="sharegpt",
    needs=("conversations",),
    summary="demonstrations: conversations, turns with from and value (ShareGPT)",
    sniff=has("conversations"),
    read=read,
    write=write,
)
