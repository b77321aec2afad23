from __future__ import annotations

import json
import math
from pathlib import Path

import pytest
from typer.testing import CliRunner

from truing import recipe
from truing.cli import app
from truing.errors import DataError
from truing.evaluate.intervals import proportion
from truing.evaluate.reward_model import (
    Comparison,
    accuracy,
    assess,
    by_category,
    correlation,
    evaluate_reward,
    expected_calibration_error,
    length_correlation,
    reliability,
)
from truing.group import Group, Prompt, Ranking, Response
from truing.train import train

LOG_3 = math.log(3)  # σ(log 3) = 0.75


def test_accuracy_is_the_share_of_gaps_above_0_with_wilsons_interval() -> None:
    assert accuracy([1.0, 0.1, -2.0, 3.0]) == proportion(3, 4)
    assert accuracy([1.0, 0.0]).value == 0.75, "a tie counts half"
    assert math.isnan(accuracy([]).value)


def test_categories_come_apart_and_those_without_are_left_out() -> None:
    made = [
        Comparison((1.0, 0.0), (1, 1), category="chat"),
        Comparison((0.0, 1.0), (1, 1), category="chat"),
        Comparison((2.0, 1.0), (1, 1), category="code"),
        Comparison((2.0, 1.0), (1, 1)),
    ]
    assert by_category(made) == {"chat": proportion(1, 2), "code": proportion(1, 1)}


def test_who_is_75_percent_sure_and_right_three_times_of_four_is_calibrated() -> None:
    bins = reliability([LOG_3, LOG_3, LOG_3, -LOG_3])
    (held,) = [b for b in bins if b.n]
    assert (held.low, held.high, held.n) == (0.75, 0.8, 4)
    assert (held.confidence, held.right) == (pytest.approx(0.75), 0.75)
    assert expected_calibration_error(bins) == pytest.approx(0.0, abs=1e-12)


def test_who_is_75_percent_sure_and_always_right_is_off_by_a_quarter() -> None:
    assert expected_calibration_error(reliability([LOG_3] * 5)) == pytest.approx(0.25)


def test_bins_weigh_by_their_number() -> None:
    # Three at 0.75 of which none is right, one that is certain and right: (3 · 0.75 + 1 · 0) / 4.
    assert expected_calibration_error(reliability([-LOG_3] * 3 + [50.0])) == pytest.approx(0.5625)


def test_a_soft_preference_is_met_by_the_confidence_that_it_has() -> None:
    assert expected_calibration_error(reliability([LOG_3], [0.75])) == pytest.approx(0.0, abs=1e-12)
    assert expected_calibration_error(reliability([-LOG_3], [0.75])) == pytest.approx(0.5)


def test_a_tie_is_half_right_and_half_sure_and_extremes_stay_inside() -> None:
    bins = reliability([0.0, 1e4, -1e4])
    assert (bins[0].confidence, bins[0].right, bins[0].n) == (0.5, 0.5, 1)
    assert (bins[-1].confidence, bins[-1].right, bins[-1].n) == (1.0, 0.5, 2)
    assert math.isnan(bins[1].right)
    assert math.isnan(expected_calibration_error(reliability([])))


def test_the_correlation_of_a_line_is_1_and_of_a_constant_unknown() -> None:
    assert correlation([1, 2, 3], [10, 20, 30]) == pytest.approx(1)
    assert correlation([1, 2, 3], [3, 2, 1]) == pytest.approx(-1)
    assert math.isnan(correlation([1, 2], [5, 5]))
    assert math.isnan(correlation([1], [1]))


def test_length_is_compared_within_prompts() -> None:
    """Within both prompts the longer scores lower; across them, long goes with high."""
    assert length_correlation([[2.0, 1.0], [12.0, 11.0]], [[10, 20], [110, 120]]) == pytest.approx(-1)


def _group(better: str, worse: str, **columns: str) -> Group:
    return Group(Prompt.of("x"), (Response.of(better), Response.of(worse)), (Ranking.pair(),), columns)


def test_a_model_that_likes_what_is_long_is_found_out() -> None:
    groups = [_group("long answer", "short"), _group("brief", "a long answer"), _group("longer one", "same")]
    report = assess(groups, [[float(len(r.text)) for r in g.responses] for g in groups])
    assert report.accuracy == report.longer_wins == proportion(2, 3)
    assert report.prefers_longer == proportion(3, 3)
    assert report.length_correlation == pytest.approx(1)
    assert "2 comparisons" not in report.text()
    assert report.text().startswith("3 comparisons of 3 prompts")


def test_a_ranking_gives_all_its_pairs_and_every_annotator_speaks() -> None:
    responses = tuple(map(Response.of, ("a", "b", "c")))
    group = Group(Prompt.of("x"), responses, (Ranking((1, 2, 2)), Ranking((2, 1, None))))
    report = assess([group, Group(Prompt.of("y"), responses)], [[3.0, 2.0, 1.0], [0.0, 0.0, 0.0]])
    assert report.accuracy == proportion(2, 3)
    assert report.num_prompts == 1


@pytest.mark.parametrize("verb", [False, True])
def test_a_trained_model_is_evaluated_to_a_table_and_a_file(
    toy_folder: Path, pairs: Path, tmp_path: Path, verb: bool
) -> None:
    overrides = {"model.path": str(toy_folder), "data.train": str(pairs), "batch_size": 8, "epochs": 3}
    run = train(recipe.load("reward", {**overrides, "update.learning_rate": 1e-3}), tmp_path / "run").folder
    held = tmp_path / "held.jsonl"
    rows = [json.loads(line) for line in pairs.read_text().splitlines()]
    held.write_text("".join(json.dumps({**r, "kind": "odd" if i % 2 else "even"}) + "\n" for i, r in enumerate(rows)))
    out = tmp_path / "deep" / "report.json"
    if verb:
        options = ["--model", str(run), "--data", str(held), "--out", str(out), "--category", "kind"]
        done = CliRunner().invoke(app, ["evaluate", "reward", *options])
        assert done.exit_code == 0, done.output
        assert "40 comparisons of 40 prompts" in done.output
        assert str(out) in done.output
    else:
        assert evaluate_reward(str(run), str(held), out, category="kind").accuracy.value > 0.9
    told = json.loads(out.read_text())
    assert told["accuracy"]["n"] == 40
    assert told["categories"].keys() == {"even", "odd"}
    assert sum(b["n"] for b in told["bins"]) == 40


def test_a_file_without_comparisons_is_refused(demonstrations: Path, tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no row in it says that one response is better"):
        evaluate_reward("nowhere", str(demonstrations), tmp_path / "out.json")
