from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from truing import lab, recipe
from truing.errors import RecipeError
from truing.quickstart.reasoning import FORMAT, RL, Settings, reasoning
from truing.record import read_record
from truing.train import train

TINY = Settings(solutions=32, problems=20, steps=1, test_problems=6)


def _findings(run: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in (run / "findings.jsonl").read_text(encoding="utf-8").splitlines()]


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole run, far too small to learn anything."""
    out = tmp_path_factory.mktemp("reasoning") / "run"
    reasoning(out, TINY)
    return out


def test_it_goes_through_both_stages_to_a_report(done: Path) -> None:
    report = json.loads((done / "report.json").read_text())
    assert [(row["model"], row["setting"]) for row in report["evaluation"]] == [
        ("SFT", ""), ("RL", ""), ("SFT", "greedy"), ("RL", "greedy"),
    ]  # fmt: skip
    rates = report["evaluation"][1]["rates"]
    assert set(rates) == {"accuracy", "pass@8", "majority@8", "right format", "self-check"}
    assert 0 <= rates["accuracy"]["value"] <= rates["pass@8"]["value"] <= 1
    assert set(report["seconds"]) == {"SFT", "RL", "evaluation", "total"}
    assert "<html" in (done / "report.html").read_text()


def test_the_record_has_the_numbers_of_reasoning_before_the_first_step_and_after_the_last(done: Path) -> None:
    record = read_record(done / "reasoning")
    assert [line["step"] for line in record] == [0, 1]
    for line in record:
        assert {"eval/accuracy/greedy", "eval/majority@4", "eval/majority@8", "eval/self_check"} <= set(line)
        assert line["eval/accuracy"] <= line["eval/pass@2"] <= line["eval/pass@8"]


def test_what_is_done_is_not_done_again_and_another_run_is_refused(done: Path) -> None:
    kept = (done / "reasoning" / "model" / "model.safetensors").stat().st_mtime_ns
    (done / "report.html").unlink()
    assert reasoning(done, TINY, resume=True).exists()
    assert (done / "reasoning" / "model" / "model.safetensors").stat().st_mtime_ns == kept
    with pytest.raises(RecipeError, match=r"there is a quickstart in this folder, with .*'steps': 1"):
        reasoning(done, TINY)


@pytest.mark.slow
def test_from_solutions_without_thoughts_nothing_is_learnt_and_the_monitor_says_why(tmp_path: Path) -> None:
    """No sample is worked out, so that no reward can make it likelier; right guesses are as rare as before."""
    none = Settings(solutions=400, direct=1.0, chain=0.0, sloppy=0.0, steps=14, test_problems=40)
    reasoning(tmp_path / "run", none)
    record = read_record(tmp_path / "run" / "reasoning")
    assert all(line["rewards/regex/mean"] == 0 for line in record[1:])
    assert all(line["eval/accuracy"] < 0.3 for line in record if "eval/accuracy" in line)
    found = {f["condition"]: f for f in _findings(tmp_path / "run" / "reasoning")}
    assert "gave 0 to every response" in found["silent_reward"]["found"]
    assert "SFT on answers that earn it (worked solutions" in found["silent_reward"]["advice"]


@pytest.mark.slow
def test_where_only_worked_answers_count_every_group_is_the_same_and_the_monitor_says_why(tmp_path: Path) -> None:
    none = Settings(solutions=400, direct=1.0, chain=0.0, sloppy=0.0, steps=4, test_problems=6)
    reasoning(tmp_path / "run", none)
    lab.write_problems(tmp_path / "problems.jsonl", "train", 200, 0)
    only = RL | {
        "rewards": [{"regex": {"pattern": FORMAT, "whole": True}}],
        "model.path": str(tmp_path / "run" / "sft" / "model"),
        "data.train": str(tmp_path / "problems.jsonl"),
        "update.steps": 4,
    }
    train(recipe.load("reasoning", only), tmp_path / "only")
    assert all(line["frac_reward_zero_std"] == 1 for line in read_record(tmp_path / "only")[1:])
    found = {f["condition"]: f for f in _findings(tmp_path / "only")}
    assert "all are wrong, with 0" in found["same_rewards"]["found"]
    assert "chains of thought" in found["same_rewards"]["advice"]


@pytest.mark.slow
def test_accuracy_rises_to_nine_tenths(tmp_path: Path) -> None:
    reasoning(tmp_path / "run")
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    before, after = (row["rates"]["accuracy"]["value"] for row in report["evaluation"][:2])
    assert before < 0.5
    assert after >= 0.9
