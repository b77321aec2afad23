"""Is a file fit to be used?"""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from truing.errors import DataError
from truing.feedback.check import check

SaveRows = Callable[[str, list[dict[str, Any]]], Path]


def pair(chosen: str, rejected: str, **more: Any) -> dict[str, Any]:
    return {"prompt": "p", "chosen": chosen, "rejected": rejected, **more}


def test_a_good_file_has_no_findings(save_rows: SaveRows) -> None:
    made = check(save_rows("f.jsonl", [pair("a", "b"), pair("b", "c")]))
    assert (made.num_groups, made.problems, made.remarks) == (2, [], [])


def test_each_unreadable_row_is_a_problem_with_its_place(save_rows: SaveRows) -> None:
    path = save_rows("f.jsonl", [pair("a", "b"), pair("a", ""), {"prompt": "p", "chosen": "a"}])
    made = check(path)
    assert [(f.where, f.found) for f in made.problems] == [
        (f"{path}:2", "column `rejected` is empty"),
        (f"{path}:3", "there is no column `rejected`"),
    ]
    assert made.num_problems == 2
    assert f"{path}:2: column `rejected` is empty" in made.text()
    assert "--skip-bad" in made.text()


def test_duplicates_name_the_first_of_them(save_rows: SaveRows) -> None:
    path = save_rows("f.jsonl", [pair("a", "b"), pair("c", "d"), pair("a", "b")])
    (remark,) = check(path).remarks
    assert (remark.kind, remark.where, remark.found) == ("duplicate", f"{path}:3", f"the same as {path}:1")


def test_an_annotator_who_says_the_opposite_is_remarked(save_rows: SaveRows) -> None:
    rows = [pair("a", "b", annotator_id="x"), pair("b", "a", annotator_id="y"), pair("b", "a", annotator_id="x")]
    path = save_rows("f.jsonl", rows)
    (remark,) = check(path).remarks
    assert (remark.kind, remark.where) == ("contradiction", f"{path}:3")  # two annotators may well disagree


def test_equal_pairs_empty_answers_and_open_ends_are_remarked(save_rows: SaveRows) -> None:
    empty = [{"role": "assistant", "content": ""}]
    open_end = [{"role": "assistant", "content": "a"}, {"role": "user", "content": "b"}]
    rows = [
        pair("a", "a"),
        {"prompt": "q", "chosen": "a", "rejected": empty},
        {"prompt": "r", "chosen": open_end, "rejected": "a"},
    ]
    assert [remark.kind for remark in check(save_rows("f.jsonl", rows)).remarks] == [
        "identical",
        "empty",
        "ends_with_user",
    ]


def test_a_named_format_is_checked(save_rows: SaveRows) -> None:
    made = check(save_rows("f.jsonl", [{"prompt": "p", "completion": "a"}]), format="unpaired")
    assert [f.found for f in made.problems] == ["there is no column `label`"]


def test_only_so_many_findings_are_kept_and_all_are_counted(save_rows: SaveRows) -> None:
    made = check(save_rows("f.jsonl", [pair("a", "b"), *[pair("a", "")] * 1500]))
    assert (len(made.problems), made.num_problems) == (1000, 1500)
    assert "… and 1480 more" in made.text()


def test_a_broken_file_is_raised(tmp_path: Path) -> None:
    (tmp_path / "f.jsonl").write_text("")
    with pytest.raises(DataError, match="holds no rows"):
        check(tmp_path / "f.jsonl")
