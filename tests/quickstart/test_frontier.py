from __future__ import annotations

import json
from pathlib import Path

from truing import recipe
from truing.evaluate.charts import frontier as drawn
from truing.quickstart import Settings
from truing.quickstart.frontier import frontier, methods

TINY = Settings(demonstrations=48, preference_prompts=16, test_prompts=10, grpo_steps=1)


def test_every_method_is_a_recipe_that_samples() -> None:
    assert all(recipe.load(name).online for name in methods())
    assert {"ppo", "grpo", "rloo", "reinforce_pp"} <= set(methods())


def test_methods_and_best_of_n_stand_on_one_plot_and_are_measured_once(tmp_path: Path) -> None:
    page = frontier(tmp_path, ["ppo", "online_dpo"], seeds=[0], settings=TINY)
    report = json.loads((tmp_path / "report.json").read_text())
    rows = {row["model"]: row for row in report["evaluation"]}
    assert {"SFT", "ppo", "online_dpo", "best of 1", "best of 32"} <= rows.keys()
    assert rows["SFT"]["kl"] == 0.0
    assert rows["ppo"]["win_rate"]["n"] == 10
    assert report["frontier"]["ppo"][0][0] == 0.0, "a route begins at the SFT model"
    assert [kl for kl, _ in report["frontier"]["best-of-N"]] == sorted(kl for kl, _ in report["frontier"]["best-of-N"])
    assert "What it costs" in page.read_text()
    measured = tmp_path / "seed-0" / "measured" / "ppo.json"
    before = measured.stat().st_mtime_ns
    assert frontier(tmp_path, ["ppo", "online_dpo"], seeds=[0], settings=TINY, resume=True) == page
    assert measured.stat().st_mtime_ns == before


def test_a_route_is_drawn_from_left_to_right_and_upwards() -> None:
    found = drawn({"one": [(0.0, 0.0), (1.0, 1.0)], "two": [(0.0, 0.0), (2.0, float("nan"))]})
    assert found is not None
    (left, low), (right, high) = found.routes[0].stops
    assert left < right
    assert low > high  # in percent from the top
    assert len(found.routes[1].stops) == 1
    assert drawn({"none": []}) is None
