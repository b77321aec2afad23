from __future__ import annotations

import json
from pathlib import Path

from truing.quickstart import Settings
from truing.quickstart.compare import compare_methods, methods

TINY = Settings(demonstrations=48, preference_prompts=16, test_prompts=10)


def test_every_offline_recipe_that_trains_a_policy_takes_part() -> None:
    found = methods()
    assert {"sft", "dpo", "kto", "plackett_luce", "rebel", "orpo"} <= set(found)
    assert not {"reward", "process_reward", "grpo"} & set(found)


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
