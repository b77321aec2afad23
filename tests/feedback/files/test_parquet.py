"""Parquet."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

from truing.errors import DataError
from truing.feedback.sources import rows

ROWS = [{"prompt": "Hi", "completion": "Hello"}, {"prompt": "Bye\nnow", "completion": 'So, "long" – ü'}]
SaveRows = Callable[[str, list[dict[str, Any]]], Path]
Failure = Callable[[Path | str], DataError]


def test_places_in_parquet_are_rows(save_rows: SaveRows) -> None:
    assert [where.rsplit(":", 1)[1] for where, _ in rows(save_rows("f.parquet", ROWS))] == ["row 1", "row 2"]


def test_damaged_parquet_is_an_error(failure: Failure, tmp_path: Path) -> None:
    (tmp_path / "f.parquet").write_bytes(b"PAR1 but not really")
    assert failure(tmp_path / "f.parquet").found.startswith("bad Parquet")
