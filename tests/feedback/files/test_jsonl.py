"""JSON Lines: whole, damaged and hostile."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from truing.errors import DataError
from truing.feedback.sources import rows

Failure = Callable[[Path | str], DataError]


def test_blank_lines_and_a_byte_order_mark_are_no_rows(tmp_path: Path) -> None:
    path = tmp_path / "f.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"a": 1}\n\n  \n{"a": 2}')
    assert list(rows(path)) == [(f"{path}:1", {"a": 1}), (f"{path}:4", {"a": 2})]


@pytest.mark.parametrize(
    ("line", "found"),
    [
        (b'{"a": 1', "bad JSON: Expecting ',' delimiter at character 8"),
        (b'{"a": NaN}', "bad JSON: NaN is not JSON"),
        (b"[1, 2]", "the line is [1, 2], not an object"),
        (b'"text"', "the line is 'text', not an object"),
        (b'{"a": "\xff"}', r"byte 8 of the line, b'\xff', is not UTF-8"),
        (b"[" * 100_000, "bad JSON: nested too deeply"),
        (b'{"a": ' + b"9" * 5000 + b"}", "bad JSON: Exceeds the limit"),
    ],
)
def test_a_bad_line_is_named_and_the_next_can_be_read(
    failure: Failure, tmp_path: Path, line: bytes, found: str
) -> None:
    path = tmp_path / "f.jsonl"
    path.write_bytes(b'{"a": 1}\n' + line + b'\n{"a": 3}\n')
    error = failure(path)
    assert error.where == f"{path}:2"
    assert error.found.startswith(found)
    assert error.remedy is not None
    heard: list[DataError] = []
    assert [row["a"] for _, row in rows(path, heard.append)] == [1, 3]
    assert [e.where for e in heard] == [f"{path}:2"]


@pytest.mark.parametrize("content", ['[{"a": 1}]', '[\n  {"a": 1}\n]'])
def test_an_array_named_jsonl_is_told_to_be_json(failure: Failure, tmp_path: Path, content: str) -> None:
    (tmp_path / "f.jsonl").write_text(content)
    assert failure(tmp_path / "f.jsonl").remedy == "Rename it to .json."
