"""Bare prompts: `prompt`, to be answered by the policy; every other column goes to the rewards."""

from __future__ import annotations

from typing import Any

from truing.feedback.formats.base import Format, bare, has, joined, prompt_turns
from truing.feedback.formats.cells import Row, prompt, rest
from truing.group import Group

__all__ = ["FORMAT"]


def read(row: Row, where: str) -> Group:
    return Group(prompt(row, where), columns=rest(row, "prompt"))


def write(group: Group) -> dict[str, Any]:
    bare(group, 0, "prompt")
    return joined({"prompt": prompt_turns(group, "prompt")}, group, "prompt")


FORMAT = Format(
    name="prompt",
    needs=("prompt",),
    summary="bare prompts: prompt, and what rewards need",
    sniff=has("prompt", unlike=("chosen", "rejected", "completion", "completions", "responses")),
    read=read,
    write=write,
)
