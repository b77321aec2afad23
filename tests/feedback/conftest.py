"""Rows as files."""

from __future__ import annotations

import csv
import gzip
import json
import os
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from truing.errors import DataError
from truing.feedback.sources import rows

Rows = Sequence[dict[str, Any]]
SaveRows = Callable[[str, Rows], Path]


@pytest.fixture
def save_rows(tmp_path: Path) -> SaveRows:
    """Write rows as another program would: without anything of ours. The name's ending says how."""

    def save(name: str, rows: Rows) -> Path:
        path = tmp_path / name
        kind = name.removesuffix(".gz").rsplit(".", 1)[-1]
        inner = path.with_name(name.removesuffix(".gz"))
        if kind == "parquet":
            import pyarrow
            import pyarrow.parquet

            pyarrow.parquet.write_table(pyarrow.Table.from_pylist(list(rows)), inner)
        elif kind == "csv":
            with inner.open("w", newline="", encoding="utf-8") as file:
                writer = csv.DictWriter(file, list(rows[0]))
                writer.writeheader()
                writer.writerows(rows)
        elif kind == "json":
            inner.write_text(json.dumps(rows, indent=2), encoding="utf-8")
        else:
            inner.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
        if name.endswith(".gz"):
            path.write_bytes(gzip.compress(inner.read_bytes()))
            inner.unlink()
        return path

    return save


@pytest.fixture
def failure() -> Callable[[Path | str], DataError]:
    """The error that reading a source ends with."""

    def read(source: Path | str) -> DataError:
        with pytest.raises(DataError) as caught:
            list(rows(source))
        return caught.value

    return read


@pytest.fixture(scope="session")
def real_data() -> Path:
    """The folder of real public files; without it the tests over them are skipped."""
    default = Path(__file__).parents[3] / "shared" / "data"
    folder = Path(os.environ.get("TRUING_TEST_DATA", default))
    if not (folder / "hh_rlhf").is_dir():
        pytest.skip(f"no real data in {folder}: set TRUING_TEST_DATA to the folder that holds hh_rlhf/ and alpaca/")
    return folder
