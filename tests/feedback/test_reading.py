"""Files as groups."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from truing import feedback
from truing.errors import DataError, RegistryError
from truing.group import Group, Prompt, Response

SaveRows = Callable[[str, list[dict[str, Any]]], Path]
GOOD = {"prompt": "Hi", "completion": "Hello"}
HELLO = Group(Prompt.of("Hi"), (Response.of("Hello"),))


def test_a_file_is_recognised_and_read(save_rows: SaveRows) -> None:
    path = save_rows("f.jsonl", [GOOD])
    assert feedback.sniff(path).name == "prompt_completion"
    assert feedback.read_all(path) == [HELLO]


def test_a_named_format_is_used_instead(save_rows: SaveRows) -> None:
    path = save_rows("f.jsonl", [GOOD])
    (group,) = feedback.read_all(path, format="prompt")
    assert group == Group(Prompt.of("Hi"), columns={"completion": "Hello"})


def test_an_unknown_format_is_suggested() -> None:
    with pytest.raises(RegistryError, match="Did you mean `alpaca`"):
        feedback.read_all("any.jsonl", format="alpacca")


def test_a_bad_row_ends_the_reading_with_file_and_line(save_rows: SaveRows) -> None:
    path = save_rows("f.jsonl", [GOOD, {"prompt": "Hi", "completion": None}, GOOD])
    with pytest.raises(DataError) as caught:
        feedback.read_all(path)
    assert str(caught.value).startswith(f"{path}:2: column `completion` is null\n")


def test_bad_rows_are_skipped_and_listed_on_request(save_rows: SaveRows) -> None:
    bad = [{"prompt": "Hi"}, {"prompt": 7, "completion": "x"}, {"prompt": "Hi", "completion": " "}]
    path = save_rows("f.jsonl", [GOOD, *bad, GOOD])
    skipped: list[DataError] = []
    assert feedback.read_all(path, skip_bad=True, skipped=skipped) == [HELLO, HELLO]
    assert [error.where for error in skipped] == [f"{path}:{line}" for line in (2, 3, 4)]


def test_skipping_every_row_is_an_error(save_rows: SaveRows) -> None:
    path = save_rows("f.jsonl", [{"prompt": "Hi", "completion": ""}] * 3)
    with pytest.raises(DataError, match="none of its 3 rows can be read"):
        feedback.read_all(path, skip_bad=True)


def test_a_first_row_of_unknown_columns_can_be_skipped(save_rows: SaveRows) -> None:
    path = save_rows("f.jsonl", [{"header": 1}, GOOD])
    assert feedback.read_all(path, skip_bad=True) == [HELLO]


def test_a_file_of_unknown_columns_is_one_error_and_not_one_a_row(save_rows: SaveRows) -> None:
    path = save_rows("f.jsonl", [{"question": "2 + 2", "answer": "4"}] * 5)
    with pytest.raises(DataError, match="fit no format: question, answer") as caught:
        feedback.read_all(path, skip_bad=True)
    assert caught.value.where == f"{path}:1"


@pytest.mark.parametrize(
    ("row", "hint"),
    [
        ({"prompt": "a", "chosn": "b", "rejected": "c"}, "Did you mean `chosen` where it says `chosn`"),
        ({"prompt": "a", "compleation": "b"}, "Did you mean `completion` where it says `compleation`"),
        ({"prompt": "a", "completion": "b", "labell": True}, "Did you mean `label` where it says `labell`"),
        ({"prompt": "a", "responses": ["b"], "rankings": [0]}, "Did you mean `ranking` where it says `rankings`"),
        ({"instructions": "a", "output": "b"}, "Did you mean `instruction` where it says `instructions`"),
        ({"mesages": []}, "Did you mean `messages` where it says `mesages`"),
    ],
)
def test_misspelt_columns_are_suggested_and_never_dropped(save_rows: SaveRows, row: dict[str, Any], hint: str) -> None:
    with pytest.raises(DataError, match=hint):
        feedback.read_all(save_rows("f.jsonl", [row]))


def test_a_column_that_later_rows_lack_is_named(save_rows: SaveRows) -> None:
    path = save_rows("f.jsonl", [GOOD, {"prompt": "Hi", "completions": "Hello"}])
    with pytest.raises(DataError, match="there is no column `completion`") as caught:
        feedback.read_all(path)
    assert caught.value.remedy is not None
    assert "Did you mean `completion` where it says `completions`?" in caught.value.remedy


def test_reading_begins_before_the_file_is_read(tmp_path: Path) -> None:
    path = tmp_path / "f.jsonl"
    path.write_text('{"prompt": "Hi", "completion": "Hello"}\nbroken\n')
    assert next(feedback.read(path)) == HELLO
