"""Cells that hold something else than they should."""

from __future__ import annotations

from typing import Any

import pytest

from truing.errors import DataError
from truing.feedback.formats import cells
from truing.group import Message


def refusal(work: Any) -> str:
    with pytest.raises(DataError) as caught:
        work()
    return str(caught.value)


@pytest.mark.parametrize(
    ("value", "found"),
    [
        (None, "f:1: column `text` is null"),
        ("", "f:1: column `text` is empty"),
        (" \n", "f:1: column `text` is empty"),
        (3, "f:1: column `text` holds 3"),
        (["a"], "f:1: column `text` holds ['a']"),
        ({"a": 1}, "f:1: column `text` holds an object with keys 'a'"),
        ("a\ud800", "f:1: column `text` holds half a surrogate pair, '\\ud800', at character 1"),
    ],
)
def test_text_is_text(value: Any, found: str) -> None:
    assert refusal(lambda: cells.text({"text": value}, "text", "f:1")).startswith(found)


def test_a_long_value_is_cut_in_the_message() -> None:
    assert len(refusal(lambda: cells.text({"a": ["x"] * 999}, "a", "f:1"))) < 150


@pytest.mark.parametrize("value", [True, "x", float("nan"), float("inf"), None, [1], 10**400])
def test_a_number_is_a_finite_number(value: Any) -> None:
    assert "It should be a finite number." in refusal(lambda: cells.number(value, "n", "f:1"))


def test_numbers_may_be_text_as_in_csv() -> None:
    assert cells.number(" 1.5", "n", "f:1") == 1.5


@pytest.mark.parametrize(("value", "truth"), [(True, True), (0, False), ("TRUE", True), ("0", False)])
def test_the_spellings_of_truth(value: Any, truth: bool) -> None:
    assert cells.truth(value, "label", "f:1") is truth


@pytest.mark.parametrize("value", [2, 0.5, 1.0, "yes", [], {}])
def test_anything_else_is_no_truth(value: Any) -> None:
    assert "true (good) or false (bad)" in refusal(lambda: cells.truth(value, "label", "f:1"))


@pytest.mark.parametrize(
    ("turns", "message"),
    [
        ([], "It should be a list of turns"),
        ("Hi", "It should be a list of turns"),
        (["Hi"], "turn 1 of `m` is 'Hi'"),
        ([{"role": "user"}], "turn 1 of `m` is an object with keys 'role'"),
        ([{"role": "gpt", "content": "Hi"}], "Did you mean `assistant`?"),
        ([{"role": "asistant", "content": "Hi"}], "Did you mean `assistant`?"),
        ([{"role": ["user"], "content": "Hi"}], "has the role ['user']"),
        ([{"role": "user", "content": None}], "has the content None"),
        ([{"role": "user", "content": [{"type": "image_url"}]}], "images and other parts"),
        ([{"role": "assistant", "content": "", "tool_calls": [{"name": "f"}]}], "calls a tool"),
    ],
)
def test_turns_that_cannot_be_learned_from_are_refused(turns: Any, message: str) -> None:
    assert message in refusal(lambda: cells.turns(turns, "m", "f:1"))


def test_parts_of_text_are_joined_and_empty_tool_calls_are_none() -> None:
    turn = {
        "role": "user",
        "content": [{"type": "text", "text": "a"}, {"type": "text", "text": "b"}],
        "tool_calls": None,
    }
    assert cells.turns([turn], "m", "f:1") == (Message("user", "ab"),)


def test_a_prompt_ends_where_the_model_has_to_speak() -> None:
    row = {"prompt": [{"role": "user", "content": "a"}, {"role": "assistant", "content": "b"}]}
    assert "the last turn of `prompt` is the assistant's" in refusal(lambda: cells.prompt(row, "f:1"))


def test_a_response_begins_with_the_assistant() -> None:
    turns = [{"role": "user", "content": "a"}]
    assert "the first turn of `completion` is the user's" in refusal(lambda: cells.response(turns, "completion", "f:1"))


@pytest.mark.parametrize("value", ["not json", "[1", "[" * 10_000])
def test_a_list_may_be_json_text_but_must_be_json(value: str) -> None:
    assert cells.items({"a": "[1, 2]"}, "a", "f:1") == [1, 2]
    assert "It should be a list" in refusal(lambda: cells.items({"a": value}, "a", "f:1"))


@pytest.mark.parametrize(("value", "name"), [("ann", "ann"), (7, "7"), (None, None), ("", None)])
def test_annotators_have_names(value: Any, name: str | None) -> None:
    assert cells.annotator({"annotator_id": value}, "f:1") == name
