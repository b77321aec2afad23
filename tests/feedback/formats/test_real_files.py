"""Real public files, counted by hand elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest

from truing import feedback
from truing.errors import DataError
from truing.feedback.check import check
from truing.feedback.convert import convert
from truing.group import Ranking, Scores

HH = {
    # file: rows, pairs that differ before the last turn, equal pairs, empty answers
    "harmless_base.train": (1812, 4, 0, 1),
    "helpful_base.train": (1854, 6, 2, 2),
    "helpful_rejection_sampled.train": (2000, 2, 21, 0),
    "harmless_base.test": (500, 1, 0, 3),
    "helpful_base.test": (500, 3, 0, 2),
}


@pytest.mark.parametrize("name", HH)
def test_every_pair_of_hh_rlhf_is_read(real_data: Path, name: str) -> None:
    path = real_data / "hh_rlhf" / f"{name}.jsonl.gz"
    assert feedback.sniff(path).name == "hh"
    groups = feedback.read_all(path)
    num_rows, num_early, num_equal, num_empty = HH[name]
    assert len(groups) == num_rows
    assert sum(g.responses[0] == g.responses[1] for g in groups) == num_equal
    assert sum(g.said(Ranking)[0].ranks == (1, 1) for g in groups) == num_equal
    assert sum(not r.text for g in groups for r in g.responses) == num_empty
    assert all(g.prompt.messages[-1].role == "user" for g in groups)
    assert all(r.messages[0].role == "assistant" for g in groups for r in g.responses)
    # Those that differ early have a response of several turns; so have pairs whose last speaker speaks twice.
    several = [g for g in groups if max(len(r.messages) for r in g.responses) > 1]
    twice = [g for g in several if all(m.role == "assistant" for r in g.responses for m in r.messages)]
    assert len(several) >= num_early
    assert len(several) - len(twice) <= num_early


def test_the_train_files_have_12_pairs_that_part_early_and_23_equal_ones() -> None:
    train = [counts for name, counts in HH.items() if name.endswith("train")]
    assert sum(early for _, early, _, _ in train) == 12
    assert sum(equal for _, _, equal, _ in train) == 23


@pytest.mark.parametrize("name", HH)
@pytest.mark.parametrize("to", ["preference", "hh", "group"])
def test_hh_rlhf_survives_conversion(real_data: Path, tmp_path: Path, name: str, to: str) -> None:
    path = real_data / "hh_rlhf" / f"{name}.jsonl.gz"
    groups = feedback.read_all(path)
    feedback.write(groups, tmp_path / "f.jsonl.gz", to)
    assert feedback.read_all(tmp_path / "f.jsonl.gz") == groups


def test_red_team_attempts_are_rated_dialogues(real_data: Path, tmp_path: Path) -> None:
    groups = feedback.read_all(real_data / "hh_rlhf" / "red_team_attempts.sample.jsonl")
    assert len(groups) == 5
    assert all(g.said(Scores)[0].scale == (0.0, 4.0) for g in groups)
    assert {"num_params", "task_description"} <= set(groups[0].columns)
    feedback.write(groups, tmp_path / "f.jsonl", "red_team")
    assert feedback.read_all(tmp_path / "f.jsonl") == groups


def test_alpaca_has_one_row_without_an_answer(real_data: Path, tmp_path: Path) -> None:
    path = real_data / "alpaca" / "alpaca_sample.jsonl.gz"
    assert feedback.sniff(path).name == "alpaca"
    with pytest.raises(DataError, match="column `output` is empty") as caught:
        feedback.read_all(path)
    assert caught.value.where == f"{path}:1847"
    groups = feedback.read_all(path, skip_bad=True)
    assert len(groups) == 1999
    assert sum("input" in g.columns for g in groups) == 814
    done = convert(path, tmp_path / "m.parquet", to="messages", skip_bad=True)
    assert (done.num_read, done.num_written, len(done.skipped)) == (1999, 1999, 1)
    convert(tmp_path / "m.parquet", tmp_path / "a.jsonl", to="prompt_completion")
    assert [g.responses for g in feedback.read(tmp_path / "a.jsonl")] == [g.responses for g in groups]


def test_check_finds_the_23_equal_pairs(real_data: Path) -> None:
    found = [check(real_data / "hh_rlhf" / f"{name}.jsonl.gz") for name in HH]
    assert sum(made.counts["identical"] for made in found) == 23
    assert sum(made.counts["empty"] for made in found) == 8
    assert sum(made.num_problems for made in found) == 0
