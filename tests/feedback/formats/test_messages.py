"""Conversations to learn from."""

from __future__ import annotations

from typing import Any

import pytest

from truing.errors import DataError
from truing.feedback.formats import sniff
from truing.feedback.formats.messages import FORMAT
from truing.group import Group, Message, Prompt, Response

TALK = (
    Message("system", "Be brief."), Message("user", "Hi"), Message("assistant", "Hello"),
    Message("user", "Well?"), Message("assistant", "So."),
)  # fmt: skip
ROW = {"messages": [{"role": m.role, "content": m.content} for m in TALK], "tools": [1]}
GROUP = Group(Prompt(TALK[:2]), (Response(TALK[2:]),), columns={"tools": [1]})


def test_a_conversation_is_cut_before_the_first_answer() -> None:
    assert sniff(ROW, "f:1") is FORMAT
    assert FORMAT.read(ROW, "f:1") == GROUP
    assert FORMAT.write(GROUP) == ROW


@pytest.mark.parametrize(
    ("turns", "message"),
    [
        ([{"role": "user", "content": "Hi"}], "no turn of `messages` is the assistant's"),
        (
            [{"role": "user", "content": "Hi"}, {"role": "assistant", "content": " "}],
            "the response in `messages` is empty",
        ),
        ([], "list of turns"),
        (None, "`messages` is null"),
    ],
)
def test_a_conversation_with_nothing_to_learn_is_refused(turns: Any, message: str) -> None:
    with pytest.raises(DataError, match=message):
        FORMAT.read({"messages": turns}, "f:1")


def test_earlier_answers_in_a_prompt_cannot_be_told_apart_and_are_refused() -> None:
    group = Group(Prompt((*TALK[1:3], TALK[3])), (Response.of("So."),))
    with pytest.raises(DataError, match="Format `prompt_completion` keeps them apart"):
        FORMAT.write(group)
