"""The two files of a report and the sentence above them."""

import json
import math
import re
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from truing.evaluate.intervals import mean
from truing.evaluate.page import render
from truing.evaluate.report import (
    Answer,
    Comparison,
    Report,
    Row,
    Stage,
    as_json,
    curves,
    environment,
    headline,
    write_report,
)
from truing.evaluate.winrate import win_rate


def row(model: str, wins: int, losses: int) -> Row:
    return Row(model, win_rate=win_rate([1.0] * wins + [0.0] * losses, [0.5] * (wins + losses)))


def numbers(value: Any) -> set[float]:
    """Every number anywhere in the JSON."""
    if isinstance(value, dict):
        return set().union(*map(numbers, value.values()), set())
    if isinstance(value, list):
        return set().union(*map(numbers, value), set())
    return {float(value)} if isinstance(value, int | float) and not isinstance(value, bool) else set()


def test_the_headline_claims_a_winner_only_if_the_interval_clears_one_half() -> None:
    assert headline(Report("t", evaluation=[Row("SFT"), row("DPO", 68, 32), row("GRPO", 81, 19)])) == (
        "GRPO wins 81% of 100 held-out prompts against SFT."
    )
    assert headline(Report("t", evaluation=[row("DPO", 53, 47)])) == (
        "No model is clearly better than SFT: DPO comes nearest and wins 53% of 100 held-out prompts."
    )
    assert headline(Report("t", evaluation=[row("DPO", 20, 80)])).startswith("No model beats SFT: DPO")
    assert headline(Report("The title", evaluation=[Row("SFT")])) == "The title"


def test_the_headline_and_the_charts_speak_of_the_first_setting_only() -> None:
    greedy = replace(row("GRPO", 96, 4), setting="greedy")
    report = Report("t", evaluation=[Row("SFT"), row("GRPO", 81, 19), greedy])
    assert "81% of 100" in headline(report)
    assert report.main == list(report.evaluation[:2])
    html = render(report)
    assert html.count('<data value="0.81">') == 2  # plot and table
    assert html.count('<data value="0.96">') == 1  # table
    assert ">greedy</th>" in html


def test_every_number_on_the_page_is_a_number_of_the_json(report: Report, tmp_path: Path) -> None:
    html = write_report(report, tmp_path).read_text(encoding="utf-8")
    held = numbers(json.loads((tmp_path / "report.json").read_text()))
    shown = [float(value) for value in re.findall(r'<data value="([^"]+)"', html)]
    assert len(shown) > 80
    assert set(shown) <= held


def test_the_page_shows_the_win_rates_of_the_json(report: Report, tmp_path: Path) -> None:
    html = write_report(report, tmp_path).read_text(encoding="utf-8")
    rows = json.loads((tmp_path / "report.json").read_text())["evaluation"]
    for each in rows:
        if each["win_rate"]:
            value = each["win_rate"]["rate"]
            assert html.count(f'<data value="{value}">{value:.0%}</data>') >= 2  # plot and table
            assert f"{each['win_rate']['wins']} / {each['win_rate']['ties']} / {each['win_rate']['losses']}" in html


def test_the_json_holds_every_step_every_answer_and_the_time(report: Report) -> None:
    data = as_json(report)
    loss = data["stages"][0]["curves"]["loss"]
    assert len(loss["points"]) == 200
    assert loss["last"] == pytest.approx(sum(v for _, v in loss["points"][-20:]) / 20)
    assert data["samples"][0]["answers"]["GRPO"]["score"] == 3.5
    assert data["seconds"]["total"] == pytest.approx(17.3 + 16.0 + 83.9 + 7.5 + 10.0)
    assert data["headline"] == headline(report)


def test_missing_is_null_and_not_finite_has_a_name(tmp_path: Path) -> None:
    report = Report("t", evaluation=[Row("a", utility=mean([1.0]), kl=math.nan)], stages=[Stage("s", "d")])
    write_report(report, tmp_path)

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is not JSON")

    data = json.loads((tmp_path / "report.json").read_text(), parse_constant=refuse)["evaluation"][0]
    assert data["win_rate"] is None
    assert data["kl"] == "NaN"
    assert data["utility"]["high"] == "Infinity"


def test_a_report_replaces_the_old_one_and_leaves_nothing_else(report: Report, tmp_path: Path) -> None:
    folder = tmp_path / "new" / "folder"
    write_report(replace(report, title="first"), folder)
    page = write_report(replace(report, title="second"), folder)
    assert page == folder / "report.html"
    assert "<title>second</title>" in page.read_text()
    assert sorted(p.name for p in folder.iterdir()) == ["report.html", "report.json"]


def test_a_report_that_cannot_be_drawn_leaves_the_old_one(report: Report, tmp_path: Path) -> None:
    before = write_report(report, tmp_path).read_bytes()
    broken = replace(report, samples=[Comparison("p", {"m": Answer(None)})])  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        write_report(replace(broken, timings={"x": None}), tmp_path)  # type: ignore[dict-item]
    assert (tmp_path / "report.html").read_bytes() == before


def test_curves_are_taken_from_a_record_where_it_has_them() -> None:
    record = [{"step": 1, "loss": 2.0}, {"step": 2, "loss": 1.0, "eval/loss": 1.5}]
    assert curves(record, ["eval/loss", "loss", "kl"]) == {"eval/loss": [(2, 1.5)], "loss": [(1, 2.0), (2, 1.0)]}


def test_the_environment_names_seed_versions_and_cores() -> None:
    found = environment(7, threads=2)
    assert found["seed"] == 7
    assert found["threads"] == 2
    assert re.fullmatch(r"\d+\.\d+.*", str(found["torch"]))
    assert int(found["cores"]) >= 1
