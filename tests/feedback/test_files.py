"""Rows of files: whole, damaged and hostile ones."""

from __future__ import annotations

import gzip
import json
import re
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from truing.errors import DataError
from truing.feedback import files
from truing.feedback.files import check_source, rows

ROWS = [{"prompt": "Hi", "completion": "Hello"}, {"prompt": "Bye\nnow", "completion": 'So, "long" – ü'}]
SaveRows = Callable[[str, list[dict[str, Any]]], Path]


def failure(source: Path | str) -> DataError:
    with pytest.raises(DataError) as caught:
        list(rows(source))
    return caught.value


@pytest.mark.parametrize("zipped", ["", ".gz"])
@pytest.mark.parametrize("kind", ["jsonl", "ndjson", "json", "csv", "parquet"])
def test_every_container_gives_the_same_rows(save_rows: SaveRows, kind: str, zipped: str) -> None:
    path = save_rows(f"f.{kind}{zipped}", ROWS)
    assert [row for _, row in rows(path)] == ROWS


def test_places_are_lines(save_rows: SaveRows) -> None:
    places = {kind: [where for where, _ in rows(save_rows(f"f.{kind}", [*ROWS, ROWS[0]]))] for kind in ("jsonl", "csv")}
    assert [p.rsplit(":", 1)[1] for p in places["jsonl"]] == ["1", "2", "3"]
    # The header is line 1, and row 2 has a line break in a cell.
    assert [p.rsplit(":", 1)[1] for p in places["csv"]] == ["2", "3", "5"]


def test_places_in_json_are_the_lines_where_objects_begin(save_rows: SaveRows) -> None:
    # [ on line 1; an object takes four lines.
    found = [where.rsplit(":", 1)[1] for where, _ in rows(save_rows("f.json", ROWS))]
    assert found == ["2", "6"]


def test_places_in_parquet_are_rows(save_rows: SaveRows) -> None:
    assert [where.rsplit(":", 1)[1] for where, _ in rows(save_rows("f.parquet", ROWS))] == ["row 1", "row 2"]


def test_blank_lines_and_a_byte_order_mark_are_no_rows(tmp_path: Path) -> None:
    path = tmp_path / "f.jsonl"
    path.write_bytes(b'\xef\xbb\xbf{"a": 1}\n\n  \n{"a": 2}')
    assert list(rows(path)) == [(f"{path}:1", {"a": 1}), (f"{path}:4", {"a": 2})]


def test_objects_one_after_the_other_are_read_from_json(tmp_path: Path) -> None:
    path = tmp_path / "f.json"
    path.write_text('{"a": 1}\n{"a": 2}\n')
    assert list(rows(path)) == [(f"{path}:1", {"a": 1}), (f"{path}:2", {"a": 2})]


@pytest.mark.parametrize("name", ["f.jsonl", "f.json", "f.csv", "f.jsonl.gz", "f.csv.gz"])
def test_an_empty_file_is_an_error(tmp_path: Path, name: str) -> None:
    (tmp_path / name).write_bytes(b"")
    assert "holds no rows" in failure(tmp_path / name).found


@pytest.mark.parametrize(("name", "content"), [("f.json", "[]"), ("f.csv", "prompt,completion\n"), ("f.jsonl", "\n\n")])
def test_a_file_without_rows_is_an_error(tmp_path: Path, name: str, content: str) -> None:
    (tmp_path / name).write_text(content)
    assert "holds no rows" in failure(tmp_path / name).found


@pytest.mark.parametrize("kind", ["jsonl", "json", "csv", "parquet"])
def test_a_truncated_gzip_names_the_file(save_rows: SaveRows, kind: str) -> None:
    path = save_rows(f"f.{kind}.gz", [{"prompt": str(i) * 50, "completion": str(i**9)} for i in range(500)])
    path.write_bytes(path.read_bytes()[:-20])
    error = failure(path)
    assert error.where == str(path)
    assert "ends in the middle" in error.found
    assert error.remedy is not None


def test_a_gzip_that_is_none_says_so(tmp_path: Path) -> None:
    (tmp_path / "f.jsonl.gz").write_text('{"a": 1}\n')
    assert "cannot be unpacked" in failure(tmp_path / "f.jsonl.gz").found


def test_a_gzip_without_its_ending_says_so(tmp_path: Path) -> None:
    (tmp_path / "f.jsonl").write_bytes(gzip.compress(b'{"a": 1}\n'))
    assert failure(tmp_path / "f.jsonl").remedy == "Add .gz."


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
def test_a_bad_line_is_named_and_the_next_can_be_read(tmp_path: Path, line: bytes, found: str) -> None:
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
def test_an_array_named_jsonl_is_told_to_be_json(tmp_path: Path, content: str) -> None:
    (tmp_path / "f.jsonl").write_text(content)
    assert failure(tmp_path / "f.jsonl").remedy == "Rename it to .json."


def test_an_object_of_columns_is_told_to_become_rows(tmp_path: Path) -> None:
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
def test_damaged_json_names_the_line(tmp_path: Path, content: str, line: int, found: str) -> None:
    path = tmp_path / "f.json"
    path.write_text(content)
    error = failure(path)
    assert error.where == f"{path}:{line}"
    assert error.found.startswith(found)


@pytest.mark.parametrize("chunk", [1, 7, 64])
def test_json_is_the_same_however_it_is_cut(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, chunk: int) -> None:
    monkeypatch.setattr(files, "_CHUNK", chunk)
    made = [{"a": 'ü\\"' * i, "b": [i, {"c": None}], "d": -1.5e3} for i in range(20)]
    path = tmp_path / "f.json"
    path.write_text(json.dumps(made, indent=1), encoding="utf-8")
    assert [row for _, row in rows(path)] == made


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
def test_bad_csv_names_the_line(tmp_path: Path, content: str, line: int, found: str) -> None:
    path = tmp_path / "f.csv"
    path.write_text(content)
    error = failure(path)
    assert error.where == f"{path}:{line}"
    assert error.found.startswith(found)


def test_csv_that_is_not_utf8_names_the_line(tmp_path: Path) -> None:
    path = tmp_path / "f.csv"
    path.write_bytes("prompt,completion\na,b\nc,ü\n".encode("latin-1"))
    assert failure(path).where == f"{path}:3"


def test_a_cell_of_turns_is_read_as_turns_and_other_lists_as_text(tmp_path: Path) -> None:
    turns = [{"role": "user", "content": "Hi"}]
    path = tmp_path / "f.csv"
    path.write_text('prompt,completion\n"' + json.dumps(turns).replace('"', '""') + '","[1, 2]"\n')
    assert next(rows(path))[1] == {"prompt": turns, "completion": "[1, 2]"}


def test_damaged_parquet_is_an_error(tmp_path: Path) -> None:
    (tmp_path / "f.parquet").write_bytes(b"PAR1 but not really")
    assert failure(tmp_path / "f.parquet").found.startswith("bad Parquet")


def test_a_misspelt_file_name_is_suggested(save_rows: SaveRows) -> None:
    path = save_rows("pairs.jsonl", ROWS)
    assert failure(path.with_name("pair.jsonl")).remedy == f"Did you mean {path}?"
    assert failure(path.with_name("pairs.jsnl")).remedy == f"Did you mean {path}?"


def test_an_unknown_ending_is_refused(tmp_path: Path) -> None:
    (tmp_path / "f.pkl").write_bytes(b"x")
    error = failure(tmp_path / "f.pkl")
    assert ".pkl says nothing" in error.found
    assert error.remedy is not None
    assert ".jsonl" in error.remedy


@pytest.mark.parametrize("name", ["f.jsonl", "f.csv", "f.json", "f.jsonl.gz"])
def test_a_line_without_end_is_refused_before_it_fills_the_memory(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, name: str
) -> None:
    monkeypatch.setattr(files, "MAX_ITEM", 1000)
    monkeypatch.setattr(files, "_CHUNK", 100)
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


def test_a_saved_data_set_is_read(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    folder = tmp_path / "saved"
    datasets.Dataset.from_list(ROWS).save_to_disk(str(folder))
    assert list(rows(folder)) == [(f"{folder}:row 1", ROWS[0]), (f"{folder}:row 2", ROWS[1])]


def test_a_saved_data_set_of_splits_asks_for_one(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    folder = tmp_path / "saved"
    datasets.DatasetDict(train=datasets.Dataset.from_list(ROWS)).save_to_disk(str(folder))
    error = failure(folder)
    assert error.found == "the folder holds several splits: train"
    assert error.remedy == f"Name one: {folder / 'train'}."
    assert len(list(rows(folder / "train"))) == 2


def test_another_folder_is_refused(tmp_path: Path) -> None:
    assert "no data set saved" in failure(tmp_path).found


def test_a_name_on_the_hub_that_cannot_be_had_is_an_error() -> None:
    # Tests are offline, so that the hub gives nothing.
    error = failure("nobody-at-all/no-such-data:test")
    assert error.where == "nobody-at-all/no-such-data:test"
    assert error.found.startswith("the hub did not give it")


def test_a_source_that_is_nowhere_is_refused_before_anything_is_opened(tmp_path: Path) -> None:
    (tmp_path / "pairs.jsonl").write_text("not read")
    check_source(tmp_path / "pairs.jsonl")
    check_source("owner/name:train")
    with pytest.raises(DataError, match="no such file") as caught:
        check_source(tmp_path / "pair.jsonl")
    assert "pairs.jsonl" in str(caught.value.remedy)
