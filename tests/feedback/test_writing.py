"""Groups as files: whole, or not at all."""

from __future__ import annotations

import datetime
from collections.abc import Iterator
from pathlib import Path

import pytest

from truing import feedback
from truing.errors import DataError
from truing.group import Group, Message, Prompt, Ranking, Response

GROUPS = [
    Group(Prompt.of("Hi"), (Response.of("Hello"), Response.of("What?")), (Ranking.pair(margin=0.5),), {"topic": "a"}),
    Group(
        Prompt((Message("user", 'One,\n"two"'), Message("assistant", "three"), Message("user", "four – ü"))),
        (Response.of("[1, 2]"), Response.of("")),
        (Ranking.pair(annotator_id="ann"),),
        {"topic": "b"},
    ),
]


@pytest.mark.parametrize("zipped", ["", ".gz"])
@pytest.mark.parametrize("kind", ["jsonl", "json", "csv", "parquet"])
def test_what_is_written_is_read_back(tmp_path: Path, kind: str, zipped: str) -> None:
    path = tmp_path / f"f.{kind}{zipped}"
    assert feedback.write(GROUPS, path, "preference") == 2
    assert feedback.sniff(path).name == "preference"
    assert feedback.read_all(path) == GROUPS
    assert [p.name for p in tmp_path.iterdir()] == [path.name]


def test_other_libraries_can_load_what_is_written(tmp_path: Path) -> None:
    datasets = pytest.importorskip("datasets")
    feedback.write(GROUPS, tmp_path / "f.parquet", "preference")
    rows = list(datasets.Dataset.from_parquet(str(tmp_path / "f.parquet"), cache_dir=str(tmp_path / "cache")))
    assert rows[0]["chosen"] == [{"role": "assistant", "content": "Hello"}]
    assert rows[1]["prompt"][2] == {"role": "user", "content": "four – ü"}


def test_the_same_groups_give_the_same_bytes(tmp_path: Path) -> None:
    for name in ("a.jsonl.gz", "b.jsonl.gz"):
        feedback.write(GROUPS, tmp_path / name, "preference")
    assert (tmp_path / "a.jsonl.gz").read_bytes() == (tmp_path / "b.jsonl.gz").read_bytes()


def test_a_file_may_be_rewritten_from_itself(tmp_path: Path) -> None:
    path = tmp_path / "f.jsonl"
    feedback.write(GROUPS, path, "preference")
    feedback.write(feedback.read(path), path, "preference")
    assert feedback.read_all(path) == GROUPS


def test_an_error_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "f.jsonl"
    path.write_text("old")

    def groups() -> Iterator[Group]:
        yield GROUPS[0]
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        feedback.write(groups(), path, "preference")
    assert path.read_text() == "old"
    assert [p.name for p in tmp_path.iterdir()] == ["f.jsonl"]


def test_a_group_that_does_not_fit_is_named(tmp_path: Path) -> None:
    with pytest.raises(DataError) as caught:
        feedback.write([Group(Prompt.of("a"), (Response.of("b"),)), GROUPS[0]], tmp_path / "f.jsonl", "messages")
    assert caught.value.where == "group 2"
    assert caught.value.found == "a group of 2 with Ranking does not fit format `messages`"
    assert not list(tmp_path.iterdir())


def test_nothing_to_write_is_an_error(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="nothing to write"):
        feedback.write([], tmp_path / "f.jsonl", "messages")
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("name", ["f.txt", "none/f.jsonl", "folder.jsonl"])
def test_a_place_that_cannot_be_written_is_an_error(tmp_path: Path, name: str) -> None:
    (tmp_path / "folder.jsonl").mkdir()
    with pytest.raises(DataError):
        feedback.write(GROUPS, tmp_path / name, "preference")


@pytest.mark.parametrize("value", [datetime.date(2024, 1, 1), float("nan"), b"x", {1, 2}])
def test_a_column_that_is_no_json_is_named(tmp_path: Path, value: object) -> None:
    group = Group(Prompt.of("a"), (Response.of("b"),), columns={"fine": 1, "odd": value})
    with pytest.raises(DataError, match="group 1: column `odd` holds"):
        feedback.write([group], tmp_path / "f.jsonl", "messages")


def test_a_column_that_would_be_taken_for_feedback_is_refused(tmp_path: Path) -> None:
    # A demonstration with a column `label` would be read as a thumb.
    group = Group(Prompt.of("a"), (Response.of("b"),), columns={"label": True})
    with pytest.raises(DataError, match="would be taken for format `unpaired`"):
        feedback.write([group], tmp_path / "f.jsonl", "prompt_completion")


def test_a_column_that_the_format_would_overwrite_is_refused(tmp_path: Path) -> None:
    group = Group(Prompt.of("a"), (Response.of("b"),), columns={"prompt": "another"})
    with pytest.raises(DataError, match="extra column `prompt`"):
        feedback.write([group], tmp_path / "f.jsonl", "prompt_completion")


def test_csv_refuses_text_that_it_could_not_tell_from_turns(tmp_path: Path) -> None:
    group = Group(Prompt(), (Response.of('[{"role": "user", "content": "Hi"}]'),))
    feedback.write([group], tmp_path / "f.jsonl", "text")
    assert feedback.read_all(tmp_path / "f.jsonl") == [group]
    with pytest.raises(DataError, match="could not tell from turns"):
        feedback.write([group], tmp_path / "f.csv", "text")


def test_parquet_says_which_column_it_cannot_hold(tmp_path: Path) -> None:
    groups = [Group(Prompt.of("a"), (Response.of("b"),), columns={"mixed": value}) for value in (1, "x")]
    with pytest.raises(DataError, match="Parquet cannot hold column `mixed`"):
        feedback.write(groups, tmp_path / "f.parquet", "messages")
    assert not list(tmp_path.iterdir())


def test_a_new_file_is_as_private_as_others(tmp_path: Path) -> None:
    (tmp_path / "other").write_text("")
    feedback.write(GROUPS, tmp_path / "f.jsonl", "preference")
    assert (tmp_path / "f.jsonl").stat().st_mode == (tmp_path / "other").stat().st_mode
