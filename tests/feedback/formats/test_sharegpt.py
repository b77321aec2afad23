"""Conversations of ShareGPT."""

from __future__ import annotations

import pytest

from truing.errors import DataError
from truing.feedback.formats import sniff
from truing.feedback.formats.sharegpt import FORMAT
from truing.group import Group, Message, Prompt, Response

TALK = (
    Message("system", "Be brief."), Message("user", "Hi"), Message("assistant", "Hello"),
    Message("user", "Well?"), Message("assistant", "So."),
)  # fmt: skip
GROUP = Group(Prompt(TALK[:2]), (Response(TALK[2:]),), columns={"tools": [1]})
NAMES = {"system": "system", "user": "human", "assistant": "gpt"}
ROW = {"conversations": [{"from": NAMES[m.role], "value": m.content} for m in TALK], "tools": [1]}


def test_a_conversation_is_cut_before_the_first_answer() -> None:
    assert sniff(ROW, "f:1") is FORMAT
    assert FORMAT.read(ROW, "f:1") == GROUP
    assert FORMAT.write(GROUP) == ROW


def test_sharegpt_reads_a_system_column_and_other_names() -> None:
    row = {
        "system": "Be brief.",
        "conversations": [{"from": "user", "value": "Hi"}, {"from": "chatgpt", "value": "Hello"}],
    }
    assert FORMAT.read(row, "f:1") == Group(Prompt(TALK[:2]), (Response(TALK[2:3]),))


def test_sharegpt_reads_turns_of_role_and_content() -> None:
    row = {"conversations": [{"role": m.role, "content": m.content} for m in TALK]}
    assert FORMAT.read(row, "f:1").responses == GROUP.responses


def test_sharegpt_may_begin_with_the_model() -> None:
    group = FORMAT.read({"conversations": [{"from": "gpt", "value": "Hello"}]}, "f:1")
    assert group == Group(Prompt(), (Response.of("Hello"),))


def test_an_unknown_speaker_is_refused() -> None:
    row = {"conversations": [{"from": "humn", "value": "Hi"}]}
    with pytest.raises(DataError, match="turn 1 of `conversations` has the from 'humn'"):
        FORMAT.read(row, "f:1")
