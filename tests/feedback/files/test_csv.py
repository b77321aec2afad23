"""CSV: whole and damaged."""

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


def test_places_are_lines(save_rows: SaveRows) -> None:
    places = {kind: [where for where, _ in rows(save_rows(f"f.{kind}", [*ROWS, ROWS[0]]))] for kind in ("jsonl", "csv")}
    assert [p.rsplit(":", 1)[1] for p in places["jsonl"]] == ["1", "2", "3"]
    # The header is line 1, and row 2 has a line break in a cell.
    assert [p.rsplit(":", 1)[1] for p in places["csv"]] == ["2", "3", "5"]


@pytest.mark.parametrize(
    ("content", "line", "found"),
    [
        ("prompt,completion\na,b\nc\n", 3, "the row has 1 cells and the header 2"),
        ("prompt,completion\na,b,c\n", 2, "the row has 3 cells and the header 2"),
        ("prompt,prompt\na,b\n", 1, "the header names `prompt` twice"),
        ("prompt,\na,b\n", 1, "the header has a column without a name"),
        ('prompt,completion\na,"b\nc\n', 2, "bad CSV"),
    ],
)
def test_bad_csv_names_the_line(failure: Failure, tmp_path: Path, content: str, line: int, found: str) -> None:
    path = tmp_path / "f.csv"
    path.write_text(content)
    error = failure(path)
    assert error.where == f"{path}:{line}"
    assert error.found.startswith(found)


def test_csv_that_is_not_utf8_names_the_line(failure: Failure, tmp_path: Path) -> None:
    path = tmp_path / "f.csv"
    path.write_bytes("prompt,completion\na,b\nc,ü\n".encode("latin-1"))
    assert failure(path).where == f"{path}:3"


def test_a_cell_of_turns_is_read_as_turns_and_other_lists_as_text(tmp_path: Path) -> None:
    turns = [{"role": "user", "content": "Hi"}]
    path = tmp_path / "f.csv"
    path.write_text('prompt,completion\n"' + json.dumps(turns).replace('"', '""') + '","[1, 2]"\n')
    assert next(rows(path))[1] == {"prompt": turns, "completion": "[1, 2]"}
