"""Rows of files, whatever is around them: whole, gzipped, empty, cut off, too long."""

from __future__ import annotations

import gzip
import re
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from truing.errors import DataError
from truing.feedback.sources import rows

ROWS = [{"prompt": "Hi", "completion": "Hello"}, {"prompt": "Bye\nnow", "completion": 'So, "long" – ü'}]
SaveRows = Callable[[str, list[dict[str, Any]]], Path]
Failure = Callable[[Path | str], DataError]


@pytest.mark.parametrize("zipped", ["", ".gz"])
@pytest.mark.parametrize("kind", ["jsonl", "ndjson", "json", "csv", "parquet"])
def test_every_container_gives_the_same_rows(save_rows: SaveRows, kind: str, zipped: str) -> None:
    path = save_rows(f"f.{kind}{zipped}", ROWS)
    assert [row for _, row in rows(path)] == ROWS


@pytest.mark.parametrize("name", ["f.jsonl", "f.json", "f.csv", "f.jsonl.gz", "f.csv.gz"])
def test_an_empty_file_is_an_error(failure: Failure, tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"")
    assert "holds no rows" in failure(tmp_path / name).found


@pytest.mark.parametrize(("name", "content"), [("f.json", "[]"), ("f.csv", "prompt,completion\n"), ("f.jsonl", "\n\n")])
def test_a_file_without_rows_is_an_error(failure: Failure, tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content)
    assert "holds no rows" in failure(tmp_path / name).found


@pytest.mark.parametrize("kind", ["jsonl", "json", "csv", "parquet"])
def test_a_truncated_gzip_names_the_file(failure: Failure, save_rows: SaveRows, kind: str) -> None:
    path = save_rows(f"f.{kind}.gz", [{"prompt": str(i) * 50, "completion": str(i**9)} for i in range(500)])
    path.write_bytes(path.read_bytes()[:-20])
    error = failure(path)
    assert error.where == str(path)
    assert "ends in the middle" in error.found
    assert error.remedy is not None


def test_a_gzip_that_is_none_says_so(failure: Failure, tmp_path: Path) -> None:
    (tmp_path / "f.jsonl.gz").write_text('{"a": 1}\n')
    assert "cannot be unpacked" in failure(tmp_path / "f.jsonl.gz").found


def test_a_gzip_without_its_ending_says_so(failure: Failure, tmp_path: Path) -> None:
    (tmp_path / "f.jsonl").write_bytes(gzip.compress(b'{"a": 1}\n'))
    assert failure(tmp_path / "f.jsonl").remedy == "Add .gz."


def test_an_unknown_ending_is_refused(failure: Failure, tmp_path: Path) -> None:
    (tmp_path / "f.pkl").write_bytes(b"x")
    error = failure(tmp_path / "f.pkl")
    assert ".pkl says nothing" in error.found
    assert error.remedy is not None
    assert ".jsonl" in error.remedy


@pytest.mark.parametrize("name", ["f.jsonl", "f.csv", "f.json", "f.jsonl.gz"])
def test_a_line_without_end_is_refused_before_it_fills_the_memory(
    failure: Failure, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    for module in ("lines", "csv", "json"):
        monkeypatch.setattr(f"truing.feedback.files.{module}.MAX_ITEM", 1000)
    monkeypatch.setattr("truing.feedback.files.json._CHUNK", 100)
    content = b'[{"a": "' + b"x" * 200_000
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith("gz") else content)
    tracemalloc.start()
    assert re.search("longer than|Unterminated", failure(tmp_path / name).found)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 150_000


@pytest.mark.parametrize("name", ["f.jsonl", "f.json", "f.csv", "f.jsonl.gz"])
def test_a_long_file_is_never_in_memory(save_rows: SaveRows, name: str) -> None:
    path = save_rows(name, [{"prompt": f"{i} " + "word " * 200, "completion": "c"} for i in range(4000)])  # 4 MB
    tracemalloc.start()
    assert sum(1 for _ in rows(path)) == 4000
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1_000_000
