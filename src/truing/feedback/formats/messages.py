"""Conversations to learn from: `messages`, a list of turns with `role` and `content` (TRL, OpenAI)."""

from __future__ import annotations

from typing import Any

from truing.errors import DataError
from truing.feedback.formats.base import Format, as_turns, bare, has, joined, unfit
from truing.feedback.formats.cells import Row, demonstrated, rest, structured, turns
from truing.group import Group, Message, Prompt, Response

__all__ = ["FORMAT", "split", "whole"]


def split(messages: tuple[Message, ...], column: str, where: str) -> tuple[Prompt, Response]:
    """A conversation is cut before the assistant's first turn; the rest is the response, whoever speaks in it."""
    for cut, message in enumerate(messages):
        if message.role == "assistant":
            return Prompt(messages[:cut]), Response(messages[cut:])
    raise DataError(
        f"no turn of `{column}` is the assistant's",
        where=where,
        remedy="There is nothing to learn from; a bare prompt belongs into a column `prompt`.",
    )


def whole(group: Group, format: str) -> tuple[Message, ...]:
    """The conversation of a demonstration, if it would be cut at the same place again."""
    (answer,) = bare(group, 1, format)
    if answer.steps:
        raise unfit(format, "a response cut into steps")
    if any(m.role == "assistant" for m in group.prompt.messages):
        # Every assistant turn is trained on, and the prompt's were not meant to be.
        raise unfit(format, "a prompt with assistant turns", "Format `prompt_completion` keeps them apart.")
    return (*group.prompt.messages, *answer.messages)


def read(row: Row, where: str) -> Group:
    asked, answer = split(turns(structured(row, "messages", where), "messages", where), "messages", where)
    return Group(asked, (demonstrated(answer, "messages", where),), columns=rest(row, "messages"))


def write(group: Group) -> dict[str, Any]:
    return joined({"messages": as_turns(whole(group, "messages"), "messages")}, group, "messages")


FORMAT = Format(
    name="messages",
    needs=("messages",),
    summary="demonstrations: messages, turns with role and content (TRL, OpenAI)",
    sniff=has("messages"),
    read=read,
    write=write,
)
