"""Demonstrations in two columns: `prompt` and `completion`, each text or turns (TRL)."""

from __future__ import annotations

from typing import Any

from truing.feedback.formats.base import Format, as_value, bare, has, joined, prompt_turns
from truing.feedback.formats.cells import Row, cell, demonstrated, prompt, response, rest
from truing.group import Group

__all__ = ["FORMAT"]


def read(row: Row, where: str) -> Group:
    answer = demonstrated(response(cell(row, "completion", where), "completion", where), "completion", where)
    return Group(prompt(row, where), (answer,), columns=rest(row, "prompt", "completion"))


def write(group: Group) -> dict[str, Any]:
    (answer,) = bare(group, 1, "prompt_completion")
    own = {"prompt": prompt_turns(group, "prompt_completion"), "completion": as_value(answer, "prompt_completion")}
    return joined(own, group, "prompt_completion")


FORMAT = Format(
    name="prompt_completion",
    needs=("prompt", "completion"),
    summary="demonstrations: prompt, completion (TRL)",
    sniff=has("prompt", "completion", unlike=("label",)),
    read=read,
    write=write,
)
