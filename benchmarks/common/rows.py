"""Groups as rows of the files that both sides read. A tokenizer of words: the text says exactly which tokens.

The space after a prompt keeps its last word apart from the next one.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

from common.groups import Conversation, Group
from common.models import text

__all__ = ["Row", "conversation", "demonstration", "pair", "ranking", "write_rows"]

Row = dict[str, Any]
SEED = 0
"""Truing's seed: it decides the order of its rows."""


def demonstration(group: Group) -> Row:
    """TRL's prompt-completion row."""
    (response,) = group.responses
    return {"prompt": text(group.prompt) + " ", "completion": text(response)}


def conversation(group: Group) -> Row:
    """TRL's conversational row: questions and answers in turn."""
    assert isinstance(group, Conversation)
    said = [(group.prompt, group.responses[0]), *group.more]
    turns = [(("user", text(asked) + " "), ("assistant", text(answer))) for asked, answer in said]
    return {"messages": [{"role": role, "content": content} for two in turns for role, content in two]}


def pair(group: Group) -> Row:
    """TRL's preference row."""
    chosen, rejected = group.responses
    return {"prompt": text(group.prompt) + " ", "chosen": text(chosen), "rejected": text(rejected)}


def ranking(group: Group) -> Row:
    """Indices, best first: the first response is the best."""
    return {
        "prompt": text(group.prompt) + " ",
        "responses": [text(response) for response in group.responses],
        "ranking": list(range(len(group.responses))),
    }


def write_rows(groups: Sequence[Group], row: Callable[[Group], Row], folder: Path) -> dict[bool, Path]:
    """Two files of the same rows, by whether they are for Truing: the other has them in the order in which they are to
    be trained on, Truing's is laid so that its shuffle gives the same order."""
    from truing.experience.offline import shuffled

    rows = [json.dumps(row(group)) + "\n" for group in groups]
    shuffle = [""] * len(rows)
    for place, line in zip(shuffled(len(rows), SEED, 0), rows, strict=True):
        shuffle[place] = line
    files = {False: folder / "plain.jsonl", True: folder / "truing.jsonl"}
    files[False].write_text("".join(rows), encoding="utf-8")
    files[True].write_text("".join(shuffle), encoding="utf-8")
    return files
