"""Data sets of Hugging Face."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from truing.errors import DataError
from truing.feedback.sources import rows

ROWS = [{"prompt": "Hi", "completion": "Hello"}, {"prompt": "Bye\nnow", "completion": 'So, "long" – ü'}]
Failure = Callable[[Path | str], DataError]


def test_a_saved_data_set_is_read(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    folder = tmp_path / "saved"
    datasets.Dataset.from_list(ROWS).save_to_disk(str(folder))
    assert list(rows(folder)) == [(f"{folder}:row 1", ROWS[0]), (f"{folder}:row 2", ROWS[1])]


def test_a_saved_data_set_of_splits_asks_for_one(failure: Failure, tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    folder = tmp_path / "saved"
    datasets.DatasetDict(train=datasets.Dataset.from_list(ROWS)).save_to_disk(str(folder))
    error = failure(folder)
    assert error.found == "the folder holds several splits: train"
    assert error.remedy == f"Name one: {folder / 'train'}."
    assert len(list(rows(folder / "train"))) == 2


def test_another_folder_is_refused(failure: Failure, tmp_path: Path) -> None:
    assert "no data set saved" in failure(tmp_path).found


def test_a_name_on_the_hub_that_cannot_be_had_is_an_error(failure: Failure) -> None:
    # Tests are offline, so that the hub gives nothing.
    error = failure("nobody-at-all/no-such-data:test")
    assert error.where == "nobody-at-all/no-such-data:test"
    assert error.found.startswith("the hub did not give it")
