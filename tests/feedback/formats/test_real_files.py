"""Real public files, counted by hand elsewhere."""

from __future__ import annotations

import gzip
import json
from collections import Counter
from pathlib import Path

import pytest

from truing import feedback
from truing.errors import DataError
from truing.feedback.check import check
from truing.feedback.convert import convert
from truing.feedback.merge import merge
from truing.group import Labels, Ranking, Scores, StepLabels

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


def test_oasst_holds_154_ranked_groups_and_the_best_is_rank_0(real_data: Path) -> None:
    path = real_data / "human_comparisons" / "oasst_ranked_trees.jsonl.gz"
    assert feedback.sniff(path).name == "oasst"
    groups = feedback.read_all(path)
    ranked = [g for g in groups if len(g.responses) > 1]
    assert len(ranked) == 154
    assert {len(g.responses) for g in ranked} == {2, 3, 4, 5, 6, 9}
    assert all(g.said(Ranking) for g in ranked)
    # One reply of one group has no rank; all others have the ranks 1..K.
    assert [g.said(Ranking)[0].ranks for g in ranked if None in g.said(Ranking)[0].ranks] == [(1, 2, 3, None)]
    with gzip.open(path, "rt", encoding="utf-8") as file:
        replies = json.loads(file.readline())["prompt"]["replies"]
    best = next(reply["text"] for reply in replies if reply["rank"] == 0)
    assert groups[0].responses[groups[0].said(Ranking)[0].ranks.index(1)].text == best
    assert groups[0].prompt.text == "How can I find the best 401k plan for my needs?"


def test_pandalm_has_three_annotators_an_item(real_data: Path) -> None:
    path = real_data / "human_comparisons" / "pandalm_testset.jsonl.gz"
    assert feedback.sniff(path).name == "pandalm"
    groups = feedback.read_all(path)
    assert len(groups) == 700
    first = Counter(g.said(Ranking)[0].ranks for g in groups)
    assert first == {(1, 2): 304, (2, 1): 325, (1, 1): 71}
    said = [{r.ranks for r in g.said(Ranking)} for g in groups]
    assert all(len(g.said(Ranking)) == 3 for g in groups)
    assert sum(len(ranks) == 1 for ranks in said) == 615
    # All three find the shorter "If you have any questions, please let me know." the better one.
    assert groups[0].responses[1].text == "If you have any questions, please let me know."
    assert said[0] == {(2, 1)}


def test_the_crowd_of_llmfao_voted_5433_times(real_data: Path, tmp_path: Path) -> None:
    path = real_data / "human_comparisons" / "llmfao_crowd_comparisons.jsonl.gz"
    assert feedback.sniff(path).name == "llmfao"
    groups = feedback.read_all(path)
    votes = Counter(g.said(Ranking)[0].ranks for g in groups)
    assert votes == {(1, 2): 1673, (2, 1): 1503, (1, 1): 2257}
    assert len({g.said(Ranking)[0].annotator_id for g in groups}) == 124
    assert groups[0].prompt.text.startswith("Give two concise bullet-point arguments against the Münchhausen trilemma")
    assert groups[0].said(Ranking) == (Ranking((2, 1), annotator_id="83"),)
    # 1296 units, of which some show the same two texts.
    assert len(merge(((str(n), g) for n, g in enumerate(groups)), "majority").groups) == 1128
    done = convert(path, tmp_path / "p.jsonl", to="pairs", merge_by="bradley_terry")
    assert (done.num_read, done.num_merged, len(done.reliability)) == (5433, 1128, 124)


def test_verdicts_of_a_model_have_no_worker(real_data: Path) -> None:
    groups = feedback.read_all(real_data / "human_comparisons" / "llmfao_gpt4_comparisons.jsonl.gz")
    assert len(groups) == 1296
    assert {g.said(Ranking)[0].annotator_id for g in groups} == {None}


def test_bigbench_mistake_has_86_of_500_without_a_mistake(real_data: Path, tmp_path: Path) -> None:
    path = real_data / "process_labels" / "bigbench_mistake.jsonl.gz"
    assert feedback.sniff(path).name == "bigbench_mistake"
    marks = [g.said(StepLabels)[0].values[0] for g in feedback.read(path)]
    assert len(marks) == 500
    assert sum(set(row) == {1} for row in marks) == 86
    # Index 2, the most frequent, is the third step.
    assert sum(row[:3] == (1, 1, -1) for row in marks) == 94
    convert(path, tmp_path / "l.jsonl", to="labels")
    thumbs = Counter(g.said(Labels)[0].values[0] for g in feedback.read(tmp_path / "l.jsonl"))
    assert thumbs == {True: 86, False: 414}
    convert(path, tmp_path / "s.jsonl", to="stepwise")
    assert [g.said(StepLabels)[0].values[0] for g in feedback.read(tmp_path / "s.jsonl")] == marks


def test_bigbench_mistake_counts_from_0_by_a_sum_done_by_hand(real_data: Path) -> None:
    groups = feedback.read_all(real_data / "process_labels" / "bigbench_mistake.jsonl.gz")
    (group,) = (g for g in groups if g.prompt.text.startswith("(((-3 + -2 + 4 + 9) + (6 + -6 * 5 - -4))"))
    # Its mistake_index is 1: the second step has -3 - 2 + 4 + 9 = 12, and it is 8. The first only gives names.
    assert group.said(StepLabels)[0].values[0] == (1, -1, None, None, None, None)
    assert group.responses[0].steps[0].startswith('This equation can be written as "(A + B) + (C * D)"')
    assert group.responses[0].steps[1].endswith("= (-1 + 13) = 12.")


def test_mr_gsm8k_has_only_wrong_solutions_and_counts_from_1(real_data: Path) -> None:
    path = real_data / "process_labels" / "mr_gsm8k_incorrect.jsonl.gz"
    assert feedback.sniff(path).name == "mr_gsm8k"
    groups = feedback.read_all(path)
    marks = [g.said(StepLabels)[0].values[0] for g in groups]
    assert len(marks) == 400
    assert all(-1 in row for row in marks)
    assert sum(row[0] == -1 for row in marks) == 34
    # "20/100 * ($400 + $800) = $160" is the first wrong step of the first solution: it should be 240.
    assert groups[0].responses[0].steps[marks[0].index(-1)].endswith("20/100 * ($400 + $800) = $160.")


def test_every_rating_of_prm800k_is_read_once(real_data: Path) -> None:
    path = real_data / "process_labels" / "prm800k_examples.jsonl"
    assert feedback.sniff(path).name == "prm800k"
    groups = feedback.read_all(path)
    assert len(groups) == 12
    read = Counter(m for g in groups for row in g.said(StepLabels)[0].values for m in row if m is not None)
    rows = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    steps = [step for row in rows for step in row["label"]["steps"]]
    assert read == Counter(c["rating"] for s in steps for c in s["completions"] or [] if c["rating"] is not None)
    # The first ends in an error with three better ways on from there.
    assert groups[0].said(StepLabels)[0].values[0] == (1, 0, 1, 1, 1, 1, -1)
    assert [row[-1] for row in groups[0].said(StepLabels)[0].values[1:]] == [1, 1, 1]


@pytest.mark.parametrize(("name", "num_rows"), [("llmbar", 419), ("mtbench_human_agreed", 200)])
def test_llmbar_names_the_better_of_two(real_data: Path, name: str, num_rows: int) -> None:
    path = real_data / "reward_bench" / f"{name}.jsonl.gz"
    assert feedback.sniff(path).name == "llmbar"
    groups = feedback.read_all(path)
    assert len(groups) == num_rows
    counts = Counter(g.said(Ranking)[0].ranks for g in groups)
    assert name != "llmbar" or counts == {(1, 2): 206, (2, 1): 213}


def test_topical_chat_has_six_answers_to_each_of_60_prompts(real_data: Path, tmp_path: Path) -> None:
    path = real_data / "likert" / "topical_chat.jsonl.gz"
    assert feedback.sniff(path).name == "topical_chat"
    groups = feedback.read_all(path)
    assert len(groups) == 360
    assert groups[0].said(Scores)[0] == Scores({"overall": (4.6666666667,)}, (1.0, 5.0))
    done = convert(path, tmp_path / "r.jsonl", to="rankings")
    assert (done.num_read, done.num_written) == (360, 60)
    assert {len(g.responses) for g in feedback.read(tmp_path / "r.jsonl")} == {6}
