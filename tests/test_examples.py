"""The examples do what they say, at toy size: their own commands, on files made here."""

from __future__ import annotations

import gzip
import json
import os
import runpy
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from truing.cli import main
from truing.record import read_record

REAL_DATA = Path(__file__).parent.parent / "examples" / "real_data"
TOY = ("--vocabulary", "300", "--hidden", "32", "--layers", "1", "--heads", "2")


def _write(path: Path, rows: list[dict[str, str]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)


def _pair(number: int) -> dict[str, str]:
    """In three of four pairs the better answer is the longer one; the last pair is a tie."""
    asked = f"\n\nHuman: Say {number}\n\nAssistant: "
    long, short = f"{asked}{number} it is, with pleasure", f"{asked}{number}"
    if number == 7:
        return {"chosen": long, "rejected": long}
    return {"chosen": short, "rejected": long} if number % 4 == 3 else {"chosen": long, "rejected": short}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Files with the names, formats and flaws of the real ones."""
    folder = tmp_path / "the data"
    demonstrations = [{"instruction": f"Count to {i}", "input": "", "output": f"1 to {i}"} for i in range(40)]
    _write(folder / "alpaca/alpaca_sample.jsonl.gz", [*demonstrations, {"instruction": "?", "input": "", "output": ""}])
    _write(folder / "hh_rlhf/helpful_base.train.jsonl.gz", [_pair(i) for i in range(8)])
    _write(folder / "hh_rlhf/helpful_base.test.jsonl.gz", [_pair(i) for i in range(8)])
    return folder


def _run(program: str, arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A command of the example in this process: starting Python and torch anew takes seconds."""
    monkeypatch.setattr(sys, "argv", [program, *arguments])
    if program != "truing":
        runpy.run_path(program, run_name="__main__")
        return
    with pytest.raises(SystemExit) as stop:
        main()
    assert not stop.value.code, f"{arguments} ended with {stop.value.code}"


def test_real_data_goes_from_nothing_to_three_models_and_their_measures(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "runs"
    listed = subprocess.run(
        ["bash", REAL_DATA / "run.sh", data, out],
        env={**os.environ, "DRY_RUN": "1", "TRUING": "truing", "PYTHON": "python"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert not out.exists(), "a dry run only prints"
    own = [line for line in listed.splitlines() if f"{out.name}/people" not in line]  # people.sh has a test of its own
    for program, *arguments in map(shlex.split, own):
        if program == "truing":
            _run(program, arguments + (["--set", "steps=1"] if arguments[0] == "train" else []), monkeypatch)
        else:
            script, *rest = arguments
            _run(script, rest + (list(TOY) if script.endswith("prepare.py") else []), monkeypatch)
    assert len(read_record(out / "sft")) == len(read_record(out / "dpo")) == 1
    said = capsys.readouterr().out
    assert "300 tokens in the vocabulary" in said
    assert "| the longer one wins | 0.857 | 0.487 to 0.974 | 7 |" in said, "6 of 7 pairs, the tie left out"
    assert "| better is shorter |" in said


def test_real_data_says_how_it_is_used_when_nothing_is_given() -> None:
    done = subprocess.run(["bash", REAL_DATA / "run.sh"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "run.sh DATA OUT" in done.stdout


# ---- people.sh -----------------------------------------------------------------------------------------------------


@pytest.fixture
def people(tmp_path: Path) -> Path:
    """Ten prompts of every kind of human feedback, in the formats of the real files."""
    folder, some = tmp_path / "people data", range(10)
    for kind in ("helpful", "harmless"):
        _write(folder / f"hh_rlhf/{kind}_base.train.jsonl.gz", [_pair(i) for i in some])
        _write(folder / f"hh_rlhf/{kind}_base.test.jsonl.gz", [_pair(i) for i in range(8, 16)])
    _write(folder / "alpaca/alpaca_sample.jsonl.gz", [{"instruction": "Sing", "input": "", "output": "La"}] * 2)
    _write(folder / "gsm8k/train.jsonl.gz", [{"question": "1 + 1?", "answer": "#### 2"}] * 2)
    solvers = ("6b_finetuning", "6b_verification", "175b_finetuning", "175b_verification")
    solved = [{"solution": f"A: {n}", "is_correct": n == 3} for n in range(4)]
    _write(
        folder / "gsm8k/model_solutions_test300.jsonl.gz",
        [{"question": f"{i}?", **dict(zip(solvers, solved, strict=True))} for i in some],
    )
    _write(
        folder / "likert/topical_chat.jsonl.gz",
        [
            {"source": f"hi {i}", "context": "a fact", "system_output": "yes " * n, "scores": {"overall": float(n)}}
            for i in some
            for n in (1, 2, 3)
        ],
    )
    replies = [{"role": "assistant", "text": "so " * n, "rank": n - 1} for n in (1, 2, 3)]
    human = folder / "human_comparisons"
    _write(
        human / "oasst_ranked_trees.jsonl.gz",
        [{"message_tree_id": i, "prompt": {"role": "prompter", "text": f"{i}?", "replies": replies}} for i in some],
    )
    verdicts = {"response1": "right", "response2": "wrong, quite", "annotator1": 1, "annotator2": 1, "annotator3": 2}
    _write(human / "pandalm_testset.jsonl.gz", [{"instruction": f"Do {i}", **verdicts} for i in some])
    _write(human / "llmfao_prompts.jsonl.gz", [{"id": i, "text": f"Tell {i}"} for i in some])
    _write(
        human / "llmfao_responses.jsonl.gz",
        [{"prompt": i, "model": m, "result": "well " * (m + 1)} for i in some for m in (0, 1)],
    )
    votes = [("left", 1), ("right", 2), ("right", 3)]
    _write(
        human / "llmfao_crowd_comparisons.jsonl.gz",
        [
            {"prompt": i, "model_x": 0, "model_y": 1, "winner": winner, "worker": worker}
            for i in some
            for winner, worker in votes
        ],
    )
    steps = ["one", "two", "three"]
    _write(
        folder / "process_labels/bigbench_mistake.jsonl.gz",
        [{"task": "counting", "input": f"{i}", "steps": steps, "mistake_index": 1 if i % 2 else None} for i in some],
    )
    _write(
        folder / "process_labels/mr_gsm8k_incorrect.jsonl.gz",
        [
            {
                "question": f"{i}, how many?",
                "model_output_steps": steps,
                "model_output_solution_first_error_step": 3,
                "model_output_solution_correctness": "wrong",
            }
            for i in some
        ],
    )
    return folder


def test_people_learns_from_every_kind_of_feedback_and_ends_in_one_table(
    people: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "runs"
    listed = subprocess.run(
        ["bash", REAL_DATA / "people.sh", people, out],
        env={**os.environ, "DRY_RUN": "1", "TRUING": "truing", "PYTHON": "python"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert not out.exists(), "a dry run only prints"
    monkeypatch.syspath_prepend(REAL_DATA)
    for program, *arguments in map(shlex.split, listed.splitlines()):
        if program == "truing":
            _run(program, [*arguments, "--set", "steps=1"], monkeypatch)
            continue
        script, *rest = arguments
        if script.endswith("prepare.py"):
            rest = [*rest[:3], *TOY]
        _run(script, rest, monkeypatch)
        if script.endswith("halves.py"):
            _no_prompt_is_in_both_halves(out / "people")
    said = capsys.readouterr().out
    assert "harmless: 7 and 8 groups" in said, "of ten conversations one is tied and two are held-out ones"
    table = [line.split(" | ") for line in said.splitlines() if line.startswith("| ") and "data set" not in line]
    found = {(row[0].removeprefix("| "), row[1]): row[2:] for row in table}
    assert len(found) == 15
    # What people said has one direction here, and length is known to have it: the rule without a model is always right.
    assert found["oasst", "pairs, accuracy"][0] == "30 of 10 prompts"
    assert found["oasst", "pairs, accuracy"][4] == "length 1.000"
    assert found["pandalm", "pairs, accuracy"][4] == "length 1.000", "the shorter, by two of three annotators"
    assert found["llmfao", "pairs, accuracy"][4] == "length 1.000", "the longer, by two of three workers"
    assert found["topical_chat", "correlation with people"][4] == "length 1.000"
    assert found["gsm8k", "answers, accuracy"][2] == "0.750", "three of four solutions are wrong"
    assert found["gsm8k", "answers, accuracy"][0] == "40 of 10 prompts"
    # Ten solutions of three steps, five of them wrong in the second with the third not judged; all of MR in the third.
    assert found["bigbench_mistake", "steps, AUC"][0] == "25 of 10 prompts"
    assert found["bigbench_mistake", "first error found"][0] == "5 of 5 prompts"
    assert found["mr_gsm8k", "steps, AUC"][4] == "place and task 1.000"
    assert found["mr_gsm8k", "first error found"][2] == "0.333", "one of three steps"


def _prompts(file: Path) -> set[str]:
    with gzip.open(file, "rt", encoding="utf-8") as lines:
        return {json.dumps(json.loads(line)["prompt"]) for line in lines}


def _no_prompt_is_in_both_halves(out: Path) -> None:
    for folder in (path for path in out.iterdir() if path.is_dir()):
        first, second = _prompts(folder / "a.jsonl.gz"), _prompts(folder / "b.jsonl.gz")
        assert len(first) > 3
        assert len(second) > 3
        assert not first & second, folder.name


def _table() -> dict[str, Any]:
    return runpy.run_path(str(REAL_DATA / "table.py"))


def test_auc_is_the_share_of_good_and_bad_that_are_in_order(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(REAL_DATA)
    auc = _table()["auc"]
    # Good: 3 and 1, bad: 2 and 1. In order: 3 > 2, 3 > 1; 1 = 1 counts half; 1 < 2.
    assert auc([(1, 3.0), (1, 1.0), (0, 2.0), (0, 1.0)]) == pytest.approx(2.5 / 4)
    assert auc([(1, 0.5), (0, 0.5)]) == 0.5


def test_the_jackknife_of_a_mean_is_students_t_interval_and_counts_prompts(monkeypatch: pytest.MonkeyPatch) -> None:
    from truing.evaluate.intervals import mean

    monkeypatch.syspath_prepend(REAL_DATA)
    names = _table()
    value = names["by_half"](names["mean_right"], lambda item: item.model)
    alone = [names["Item"]("a", str(i), 1.0, float(x), 0.0) for i, x in enumerate([0, 1, 1, 0, 1])]
    found, plain = names["jackknife"](alone, value), mean([0, 1, 1, 0, 1])
    assert (found.value, found.low, found.high, found.n) == pytest.approx((plain.value, plain.low, plain.high, 5))
    # Every judgement twice tells no more: the same interval, of the same five prompts.
    twice = names["jackknife"]([*alone, *alone], value)
    assert (twice.low, twice.high, twice.n) == pytest.approx((plain.low, plain.high, 5))
