"""Which of a task's fields are the prompt and the responses."""

from __future__ import annotations

from typing import Any

import pytest

from truing.errors import DataError
from truing.feedback.formats.fields import fields_of
from truing.group import Prompt


@pytest.mark.parametrize(
    ("data", "texts"),
    [
        ({"prompt": "p", "answer1": "a", "answer2": "b"}, ["a", "b"]),
        ({"question": "p", "response_b": "b", "response_a": "a"}, ["a", "b"]),
        ({"instruction": "p", "text10": "j", "text2": "b"}, ["b", "j"]),
        ({"prompt": "p", "items": [{"id": "x", "title": "X", "body": "a"}, {"id": "y", "html": "b"}]}, ["a", "b"]),
        ({"prompt": "p", "responses": ["a", "b"]}, ["a", "b"]),
        ({"prompt": "p", "completion": "a"}, ["a"]),
        ({"text": "p", "response": "a", "prompt": [{"role": "user", "content": "p"}]}, ["a"]),
    ],
)
def test_fields_go_by_the_names_that_the_tools_templates_give_them(data: dict[str, Any], texts: list[str]) -> None:
    fields = fields_of(data, "data", "f:1")
    assert fields.prompt == Prompt.of("p")
    assert [response.text for response in fields.responses] == texts


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({"answer1": "a"}, "no field that is the prompt: answer1"),
        ({"prompt": "p", "image": "x"}, "no field that is the response: prompt, image"),
        ({}, "it is empty"),
        ([], "column `data` holds"),
        ({"prompt": "p", "items": [{"id": 1}]}, "item 1 of `items`"),
        ({"prompt": "p", "items": [{"id": 1, "body": "a"}, {"id": 1, "body": "b"}]}, "the same id"),
        ({"prompt": "p", "answers": ["a"] * 1001}, "shows 1001 responses"),
        ({"prompt": "p", "answer1": 3}, "column `answer1` holds 3"),
        ({"prompt": "p", "answer1": "\ud800"}, "half a surrogate pair"),
    ],
)
def test_fields_that_cannot_be_made_out_name_what_is_there(data: Any, words: str) -> None:
    with pytest.raises(DataError, match=words) as caught:
        fields_of(data, "data", "f:1")
    assert caught.value.where == "f:1"
    assert caught.value.remedy
