from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from truing.errors import RecipeError
from truing.quickstart import Settings, quickstart

TINY = Settings(demonstrations=48, preference_prompts=12, grpo_steps=1, test_prompts=12)


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A whole quickstart, far too small to learn anything."""
    out = tmp_path_factory.mktemp("quickstart") / "run"
    quickstart(out, TINY)
    return out


def test_it_goes_through_every_stage_to_a_report(done: Path) -> None:
    names = {p.name for p in done.iterdir()}
    assert {"data", "sft", "reward", "dpo", "grpo", "answers.json", "report.html", "report.json"} <= names
    report = json.loads((done / "report.json").read_text())
    assert [row["model"] for row in report["evaluation"][:4]] == ["base", "SFT", "DPO", "GRPO"]
    assert all(0 <= row["win_rate"]["rate"] <= 1 for row in report["evaluation"] if row["win_rate"])
    assert set(report["seconds"]) >= {"SFT", "preferences", "reward model", "DPO", "GRPO", "evaluation"}


def test_the_numbers_of_the_report_are_the_judges_of_the_answers_of_this_run(done: Path) -> None:
    from truing import lab

    said = json.loads((done / "answers.json").read_text())
    scores = [
        lab.utility(lab.Request(r["kind"], r["item"], r["text"]), text, finished)
        for r, (text, finished) in zip(said["test"], said["DPO/test/sampled"], strict=True)
    ]
    report = json.loads((done / "report.json").read_text())
    (row,) = [r for r in report["evaluation"] if r["model"] == "DPO" and not r["setting"]]
    assert row["utility"]["value"] == pytest.approx(sum(scores) / len(scores))
    assert said["SFT/kl"] == pytest.approx([0.0] * 12, abs=1e-4)


def test_what_is_done_is_not_done_again_and_what_is_missing_is(done: Path) -> None:
    kept = (done / "sft" / "model" / "model.safetensors").stat().st_mtime_ns
    answers = json.loads((done / "answers.json").read_text())
    (done / "answers.json").unlink()
    (done / "report.html").unlink()
    quickstart(done, TINY, resume=True)
    assert (done / "sft" / "model" / "model.safetensors").stat().st_mtime_ns == kept
    assert json.loads((done / "answers.json").read_text()) == answers, "the same answers: sampling has seeds"


def test_another_run_in_the_folder_is_refused(done: Path) -> None:
    with pytest.raises(RecipeError, match="there is a quickstart in this folder\n  Continue it with --resume"):
        quickstart(done, TINY)
    with pytest.raises(RecipeError, match=re.escape("a quickstart with Settings(")):
        quickstart(done, Settings(seed=1), resume=True)


@pytest.mark.slow
@pytest.mark.parametrize("seed", [0, 1, 2])
def test_sft_beats_base_and_dpo_and_grpo_beat_sft_with_intervals_apart(seed: int, tmp_path: Path) -> None:
    quickstart(tmp_path / "run", Settings(seed=seed))
    report = json.loads((tmp_path / "run" / "report.json").read_text())
    assert [check["passed"] for check in report["checks"]] == [True] * 5, report["checks"]
