"""Transcripts of hh-rlhf (arXiv:2204.05862): `chosen` and `rejected` are whole dialogues that share their beginning.

    "\\n\\nHuman: Hi\\n\\nAssistant: Hello\\n\\nHuman: ..."

White space around a turn is not kept. In the real files some pairs part before the last turn (their responses are
then several turns), some are equal (a tie), and some answers are empty (kept: that is what the annotator saw).
"""

from __future__ import annotations

import re
from typing import Any

from truing.errors import DataError
from truing.feedback.formats.base import Format, joined, unfit
from truing.feedback.formats.cells import Row, filled, rest, shown, text
from truing.feedback.formats.comparison import COLUMNS, compared, ordered, parted
from truing.group import Group, Message

__all__ = ["FORMAT", "spoken", "transcript"]

_MARKER = re.compile(r"(?:\A\s*|\n\n)(Human|Assistant):")
_ROLES = {"Human": "user", "Assistant": "assistant"}
_NAMES = {role: name for name, role in _ROLES.items()}


def spoken(dialogue: str, column: str, where: str) -> tuple[Message, ...]:
    """A transcript -> its turns, the first of them the human's."""
    before, *parts = _MARKER.split(dialogue)
    if before.strip() or not parts or parts[0] != "Human":
        raise DataError(
            f"the transcript in `{column}` begins with {shown(dialogue)}",
            where=where,
            remedy='A transcript begins with "Human:" and marks each turn with "\\n\\nHuman:" or "\\n\\nAssistant:"; '
            "for other text add a column `prompt`.",
        )
    return tuple(Message(_ROLES[name], said.strip()) for name, said in zip(parts[::2], parts[1::2], strict=True))


def transcript(messages: tuple[Message, ...], format: str) -> str:
    """Turns -> a transcript, where it would be read back as the same turns."""
    if any(m.role not in _NAMES for m in messages):
        raise unfit(format, "a system or tool turn")
    dialogue = "".join(f"\n\n{_NAMES[m.role]}: {m.content}" for m in messages)
    if not messages or messages[0].role != "user" or spoken(dialogue, "", "") != messages:
        raise unfit(format, "a dialogue whose turns begin or end with white space, or look like several,")
    return dialogue


def read(row: Row, where: str) -> Group:
    chosen, rejected = (spoken(text(row, column, where), column, where) for column in ("chosen", "rejected"))
    return compared(*parted(chosen, rejected, where), row, where, rest(row, "chosen", "rejected", *COLUMNS))


def write(group: Group) -> dict[str, Any]:
    chosen, rejected, about = ordered(group, "hh")
    asked = group.prompt.messages
    if any(response.steps for response in group.responses):
        raise unfit("hh", "a response cut into steps")
    if parted((*asked, *chosen.messages), (*asked, *rejected.messages), "")[0] != group.prompt:
        raise unfit("hh", "a pair whose responses begin alike, so that the prompt would not end where it does,")
    own = {
        "chosen": transcript((*asked, *chosen.messages), "hh"),
        "rejected": transcript((*asked, *rejected.messages), "hh"),
        **about,
    }
    return joined(own, group, "hh", "prompt", *COLUMNS)


def sniff(row: Row) -> bool:
    """Two texts and no prompt."""
    return not filled(row, "prompt") and all(isinstance(row.get(column), str) for column in ("chosen", "rejected"))


FORMAT = Format(
    name="hh",
    needs=("chosen", "rejected"),
    summary="pairs: chosen and rejected as transcripts, Human: and Assistant: (hh-rlhf)",
    sniff=sniff,
    read=read,
    write=write,
)
