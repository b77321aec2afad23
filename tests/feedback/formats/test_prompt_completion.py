"""Demonstrations in two columns."""

from __future__ import annotations

from typing import Any

import pytest

from truing.errors import DataError
from truing.feedback.formats import FORMATS, sniff
from truing.group import Group


def read(row: dict[str, Any]) -> Group:
    return sniff(row, "f:1").read(row, "f:1")


def test_prompt_and_completion_may_be_text_or_turns() -> None:
    turns = {"prompt": [{"role": "user", "content": "Hi"}], "completion": [{"role": "assistant", "content": "Hello"}]}
    assert read({"prompt": "Hi", "completion": "Hello"}) == read(turns)
    assert FORMATS["prompt_completion"].write(read(turns)) == turns


@pytest.mark.parametrize("completion", ["", None, [], [{"role": "assistant", "content": ""}], 4])
def test_an_empty_completion_teaches_silence_and_is_refused(completion: Any) -> None:
    with pytest.raises(DataError, match="completion"):
        read({"prompt": "Hi", "completion": completion})
