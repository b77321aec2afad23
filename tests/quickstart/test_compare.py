from __future__ import annotations

import json
from pathlib import Path

from truing.quickstart import Settings
from truing.quickstart.compare import compare_methods, methods

TINY = Settings(demonstrations=48, preference_prompts=16, test_prompts=10)


def test_every_offline_recipe_that_trains_a_policy_takes_part() -> None:
    found = methods()
    assert {"sft", "dpo", "kto", "plackett_luce", "rebel", "orpo", "paft"} <= set(found)
    assert not {"reward", "process_reward", "grpo"} & set(found)
    assert not {"paft_sft", "paft_dpo"} & set(found), "the halves of paft"


def test_paft_is_two_runs_on_half_of_the_groups_each_and_their_merge(tmp_path: Path) -> None:
    page = compare_methods(tmp_path, ["paft"], seeds=[0], settings=TINY)
    seed = tmp_path / "seed-0"
    halves = [(seed / "data" / f"{name}.jsonl").read_text().splitlines() for name in ("paft_sft", "paft_dpo")]
    everything = (seed / "data" / "preferences.jsonl").read_text().splitlines()
    assert sorted(halves[0] + halves[1]) == sorted(everything)
    assert abs(len(halves[0]) - len(halves[1])) <= 1
    said = json.loads((seed / "methods" / "paft" / "model" / "truing.json").read_text())["merged"]
    assert [Path(adapter).name for adapter in said["adapters"]] == ["paft_sft", "paft_dpo"]
    (row,) = (r for r in json.loads((tmp_path / "report.json").read_text())["evaluation"] if r["model"] == "paft")
    assert row["win_rate"]["n"] == 10
    assert "merged by" in page.read_text()


def test_methods_are_measured_side_by_side_and_only_once(tmp_path: Path) -> None:
    page = compare_methods(tmp_path, ["dpo", "kto", "rebel"], seeds=[0], settings=TINY)
    report = json.loads((tmp_path / "report.json").read_text())
    rows = {row["model"]: row for row in report["evaluation"]}
    assert rows.keys() == {"SFT", "dpo", "kto", "rebel"}
    for name in ("dpo", "kto", "rebel"):
        assert 0 <= rows[name]["win_rate"]["rate"] <= 1
        assert rows[name]["win_rate"]["n"] == 10
        assert rows[name]["figures"]["peak MB"] > 50
    measured = tmp_path / "seed-0" / "measured" / "dpo.json"
    before = measured.stat().st_mtime_ns
    assert compare_methods(tmp_path, ["dpo", "kto", "rebel"], seeds=[0], settings=TINY, resume=True) == page
    assert measured.stat().st_mtime_ns == before
