"""JSON: whole and damaged, however it is cut."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from truing.errors import DataError
from truing.feedback.sources import rows

ROWS = [{"prompt": "Hi", "completion": "Hello"}, {"prompt": "Bye\nnow", "completion": 'So, "long" – ü'}]
SaveRows = Callable[[str, list[dict[str, Any]]], Path]
Failure = Callable[[Path | str], DataError]


def test_places_in_json_are_the_lines_where_objects_begin(save_rows: SaveRows) -> None:
    # [ on line 1; an object takes four lines.
    found = [where.rsplit(":", 1)[1] for where, _ in rows(save_rows("f.json", ROWS))]
    assert found == ["2", "6"]


def test_objects_one_after_the_other_are_read_from_json(tmp_path: Path) -> None:
    path = tmp_path / "f.json"
    path.write_text('{"a": 1}\n{"a": 2}\n')
    assert list(rows(path)) == [(f"{path}:1", {"a": 1}), (f"{path}:2", {"a": 2})]


def test_an_object_of_columns_is_told_to_become_rows(failure: Failure, tmp_path: Path) -> None:
    (tmp_path / "f.json").write_text('{"prompt": ["a", "b"], "completion": ["c", "d"]}')
    error = failure(tmp_path / "f.json")
    assert error.found == "the file is one object of columns, not rows"
    assert error.remedy is not None
    assert "array of objects" in error.remedy


@pytest.mark.parametrize(
    ("content", "line", "found"),
    [
        ('[{"a": 1},\n{"a": 2', 2, "bad JSON"),
        ('[{"a": 1},\n{"a": "two', 2, "bad JSON: Unterminated string"),
        ('[{"a": 1},\n\n{"a" 2}]', 3, "bad JSON: Expecting ':' delimiter"),
        ('[{"a": 1}\n{"a": 2}]', 2, "'{' where the array should go on"),
        ('[{"a": 1}\n', 2, "the array does not end"),
        ('[{"a": 1}] x', 1, "there is more after the array"),
        ('[{"a": 1},\n7]', 2, "the item is 7, not an object"),
        ('[{"a": 1},\n]', 2, "bad JSON: Expecting value"),
    ],
)
def test_damaged_json_names_the_line(failure: Failure, tmp_path: Path, content: str, line: int, found: str) -> None:
    path = tmp_path / "f.json"
    path.write_text(content)
    error = failure(path)
    assert error.where == f"{path}:{line}"
    assert error.found.startswith(found)


@pytest.mark.parametrize("chunk", [1, 7, 64])
def test_json_is_the_same_however_it_is_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    monkeypatch.setattr("truing.feedback.files.json._CHUNK", chunk)
    made = [{"a": 'ü\\"' * i, "b": [i, {"c": None}], "d": -1.5e3} for i in range(20)]
    path = tmp_path / "f.json"
    path.write_text(json.dumps(made, indent=1), encoding="utf-8")
    assert [row for _, row in rows(path)] == made
