"""Bare prompts."""

from __future__ import annotations

from typing import Any

from truing.feedback.formats import FORMATS, sniff
from truing.group import Group, Prompt


def read(row: dict[str, Any]) -> Group:
    return sniff(row, "f:1").read(row, "f:1")


def test_a_bare_prompt_keeps_what_rewards_need() -> None:
    group = read({"prompt": "2 + 2 = ?", "answer": "4", "label": 3})
    assert group == Group(Prompt.of("2 + 2 = ?"), columns={"answer": "4", "label": 3})


def test_a_bare_prompt_with_many_turns_is_written_as_turns() -> None:
    turns = [{"role": r, "content": c} for r, c in (("user", "a"), ("assistant", "b"), ("user", "c"))]
    group = read({"prompt": turns})
    assert len(group.prompt.messages) == 3
    assert FORMATS["prompt"].write(group) == {"prompt": turns}
