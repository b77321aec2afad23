"""Trees of OpenAssistant (arXiv:2304.07327): `message_tree_id` and `prompt`, a message (`text`, `role`, `replies`).

Every message of a prompter with replies of the assistant is a group: the prompt is the conversation so far, the
responses are its replies, and their `rank` (0 = best) is the ranking. Replies without rank stay unranked; a group
where no reply has one has no feedback. Deleted messages, and what follows them, are left out.
"""

from __future__ import annotations

from typing import Any

from truing.errors import DataError
from truing.feedback.formats.base import Format, read_only
from truing.feedback.formats.cells import Row, cell, rest, shown, text
from truing.group import Group, Message, Prompt, Ranking, Response

__all__ = ["FORMAT"]

_ROLES = {"prompter": "user", "assistant": "assistant"}
MOST_TURNS = 200
"""A deeper tree is no conversation."""


def _message(value: Any, where: str) -> Message:
    role = value.get("role") if isinstance(value, dict) else None
    if not isinstance(role, str) or role not in _ROLES:
        raise DataError(f"the tree holds the message {shown(value)}", where=where, remedy="Roles: prompter, assistant.")
    return Message(_ROLES[role], text(value, "text", where))


def _replies(value: dict[str, Any], where: str) -> list[dict[str, Any]]:
    replies = value.get("replies") or []
    if not isinstance(replies, list) or not all(isinstance(reply, dict) for reply in replies):
        raise DataError(f"a message has the replies {shown(replies)}", where=where, remedy="A list of messages.")
    return [reply for reply in replies if reply.get("deleted") is not True]


def _rank(reply: dict[str, Any], where: str) -> int | None:
    rank = reply.get("rank")
    if rank is not None and (isinstance(rank, bool) or not isinstance(rank, int) or rank < 0):
        raise DataError(f"a reply has the rank {shown(rank)}", where=where, remedy="It counts from 0 (best).")
    return None if rank is None else rank + 1


def spread(row: Row, where: str) -> list[Group]:
    """All groups of a tree, from its root down."""
    columns = rest(row, "prompt")
    found: list[Group] = []
    todo: list[tuple[dict[str, Any], tuple[Message, ...]]] = [(cell(row, "prompt", where), ())]
    while todo:
        value, before = todo.pop(0)
        so_far = (*before, _message(value, where))
        if len(so_far) > MOST_TURNS:
            raise DataError(f"the tree is deeper than {MOST_TURNS} messages", where=where, remedy="Leave it out.")
        replies = _replies(value, where)
        todo += [(reply, so_far) for reply in replies]
        answers = [reply for reply in replies if reply.get("role") == "assistant"]
        if so_far[-1].role == "user" and answers:
            ranks = tuple(_rank(answer, where) for answer in answers)
            said = (Ranking(ranks),) if any(ranks) else ()
            responses = tuple(Response((_message(answer, where),)) for answer in answers)
            synthetic = [bool(answer.get("synthetic")) for answer in answers]
            found.append(Group(Prompt(so_far), responses, said, {**columns, "synthetic": synthetic}))
    if not found:
        raise DataError("no message of the tree is answered", where=where, remedy="Leave it out (--skip-bad does).")
    return found


def read(row: Row, where: str) -> Group:
    found = spread(row, where)
    if len(found) != 1:
        raise DataError(f"the tree holds {len(found)} groups", where=where, remedy="Read it as a file.")
    return found[0]


FORMAT = Format(
    name="oasst",
    needs=("message_tree_id", "prompt"),
    summary="trees of ranked replies: message_tree_id, prompt with its replies (OpenAssistant)",
    sniff=lambda row: "message_tree_id" in row and isinstance(row.get("prompt"), dict),
    read=read,
    write=read_only("oasst"),
    spread=spread,
    writes=False,
)
