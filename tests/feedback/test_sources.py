"""What a source is, by its name."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from truing.errors import DataError
from truing.feedback.sources import check_source

ROWS = [{"prompt": "Hi", "completion": "Hello"}, {"prompt": "Bye\nnow", "completion": 'So, "long" – ü'}]
SaveRows = Callable[[str, list[dict[str, Any]]], Path]
Failure = Callable[[Path | str], DataError]


def test_a_misspelt_file_name_is_suggested(failure: Failure, save_rows: SaveRows) -> None:
    path = save_rows("pairs.jsonl", ROWS)
    assert failure(path.with_name("pair.jsonl")).remedy == f"Did you mean {path}?"
    assert failure(path.with_name("pairs.jsnl")).remedy == f"Did you mean {path}?"


def test_a_source_that_is_nowhere_is_refused_before_anything_is_opened(tmp_path: Path) -> None:
    (tmp_path / "pairs.jsonl").write_text("not read")
    check_source(tmp_path / "pairs.jsonl")
    check_source("owner/name:train")
    with pytest.raises(DataError, match="no such file") as caught:
        check_source(tmp_path / "pair.jsonl")
    assert "pairs.jsonl" in str(caught.value.remedy)
