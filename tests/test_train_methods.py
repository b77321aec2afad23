"""Thumbs, rankings and scores from file to trained model, as a user starts them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from truing import recipe
from truing.errors import DataError
from truing.models.heads import load_reward_model
from truing.record import read_record
from truing.train import train

GOOD, BAD, SO_SO = "it was good", "it was bad", "the cat sat"


def _write(folder: Path, rows: list[dict[str, Any]]) -> Path:
    file = folder / "data.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return file


def _thumbs(folder: Path) -> Path:
    rows = [{"prompt": f"moon {i}", "completion": GOOD if i % 3 else BAD, "label": bool(i % 3)} for i in range(24)]
    return _write(folder, rows)


def _rankings(folder: Path) -> Path:
    """The good one first; the other two tie in every second row, and one is left unranked in every fourth."""
    orders = ([0, 1, 2], [0, [1, 2]], [0, 2, 1], [0, 1])
    rows = [{"prompt": f"moon {i}", "responses": [GOOD, BAD, SO_SO], "ranking": orders[i % 4]} for i in range(24)]
    return _write(folder, rows)


def _scores(folder: Path) -> Path:
    rows = [
        {"prompt": f"moon {i}", "responses": [BAD, GOOD, SO_SO], "scores": [1.0, 5.0, None if i % 2 else 3.0]}
        for i in range(24)
    ]
    return _write(folder, rows)


def _trained(name: str, model: Path, data: Path, out: Path, **more: Any) -> list[dict[str, Any]]:
    overrides = {
        "model.path": str(model), "data.train": str(data), "batch_size": 8, "learning_rate": 3e-3, "epochs": 4,
        "validation_share": 0.0, "save_every": 0, **more,
    }  # fmt: skip
    train(recipe.load(name, overrides), out)
    return read_record(out)


@pytest.mark.parametrize("name", ["kto", "bco"])
def test_thumbs_part_the_rewards(name: str, toy_folder: Path, tmp_path: Path) -> None:
    record = _trained(name, toy_folder, _thumbs(tmp_path), tmp_path / "run")
    assert record[0]["loss"] == pytest.approx({"kto": 0.5, "bco": 0.6931}[name], abs=1e-4)
    assert record[-1]["loss"] < record[0]["loss"]
    assert record[-1]["rewards/chosen"] > record[-1]["rewards/rejected"] + 0.05
    if name == "kto":
        assert record[0]["kl"] == pytest.approx(0.0, abs=1e-4)
        assert all(line["kl"] >= 0 for line in record)


def test_npo_unlearns_what_was_thumbed_down_and_keeps_the_rest(toy_folder: Path, tmp_path: Path) -> None:
    rows = [{"prompt": f"moon {i}", "completion": GOOD if i % 3 else SO_SO, "label": bool(i % 3)} for i in range(24)]
    record = _trained("npo", toy_folder, _write(tmp_path, rows), tmp_path / "run")
    assert record[0]["loss/npo"] == pytest.approx(20 * 0.6931, abs=1e-2)
    assert record[-1]["logps/rejected"] < record[0]["logps/rejected"] - 1
    assert record[-1]["nll"] < record[0]["nll"]


def test_unlikelihood_needs_no_reference(toy_folder: Path, tmp_path: Path) -> None:
    record = _trained("unlikelihood", toy_folder, _thumbs(tmp_path), tmp_path / "run")
    assert record[-1]["nll"] < record[0]["nll"]


@pytest.mark.parametrize("name", ["plackett_luce", "lipo", "group_rank"])
def test_rankings_with_ties_and_unranked_answers_are_learnt(name: str, toy_folder: Path, tmp_path: Path) -> None:
    record = _trained(name, toy_folder, _rankings(tmp_path), tmp_path / "run")
    assert record[-1]["loss"] < record[0]["loss"]
    assert record[-1]["rewards/accuracies"] > 0.7
    assert record[-1]["rewards/margins"] > 0.05


def test_rebel_learns_the_differences_of_scores(toy_folder: Path, tmp_path: Path) -> None:
    record = _trained("rebel", toy_folder, _scores(tmp_path), tmp_path / "run", beta=1.0)
    assert record[-1]["loss"] < record[0]["loss"] / 2
    assert record[-1]["rewards/accuracies"] == 1.0


def test_a_reward_model_of_rankings(toy_folder: Path, tmp_path: Path) -> None:
    record = _trained("reward_ranking", toy_folder, _rankings(tmp_path), tmp_path / "run")
    assert record[-1]["loss"] < record[0]["loss"]
    assert record[-1]["rewards/accuracies"] > 0.7
    assert load_reward_model(tmp_path / "run" / "model").config.num_labels == 1


def test_a_reward_model_of_scores(toy_folder: Path, tmp_path: Path) -> None:
    more = {"reward_regression.center": 3.0, "reward_regression.scale": 2.0}
    record = _trained("reward_scores", toy_folder, _scores(tmp_path), tmp_path / "run", **more)
    assert record[-1]["error"] < record[0]["error"] - 0.5
    assert load_reward_model(tmp_path / "run" / "model").config.num_labels == 1


def test_a_reward_model_of_thumbs(toy_folder: Path, tmp_path: Path) -> None:
    record = _trained("reward_labels", toy_folder, _thumbs(tmp_path), tmp_path / "run")
    assert record[-1]["rewards/chosen"] > record[-1]["rewards/rejected"]
    assert record[-1]["rewards/accuracies"] == 1.0


def test_kto_from_the_shell(toy_folder: Path, tmp_path: Path) -> None:
    command = [sys.executable, "-m", "truing.cli", "train", "kto", "--model", str(toy_folder)]
    command += ["--data", str(_thumbs(tmp_path)), "--out", str(tmp_path / "run"), "--set", "batch_size=8"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert len(read_record(tmp_path / "run")) == 3


def test_a_batch_cut_small_learns_as_one_that_was_not(toy_folder: Path, tmp_path: Path) -> None:
    whole = _trained("kto", toy_folder, _thumbs(tmp_path), tmp_path / "whole", epochs=1)
    cut = _trained("kto", toy_folder, _thumbs(tmp_path), tmp_path / "cut", epochs=1, tokens_per_batch=40)
    for left, right in zip(whole, cut, strict=True):
        for name in ("loss", "grad_norm", "kl", "rewards/chosen"):
            assert right[name] == pytest.approx(left[name], rel=1e-3, abs=1e-5), name


@pytest.mark.parametrize("name", ["tdpo", "aot", "aot_unpaired", "wpo"])
def test_pairs_are_learnt_by_methods_that_read_whole_distributions_or_whole_batches(
    name: str, toy_folder: Path, pairs: Path, tmp_path: Path
) -> None:
    whole = _trained(name, toy_folder, pairs, tmp_path / "whole", epochs=2)
    assert whole[-1]["rewards/margins"] > whole[0]["rewards/margins"] + 0.05
    assert whole[-1]["rewards/accuracies"] > 0.7
    cut = _trained(name, toy_folder, pairs, tmp_path / "cut", epochs=2, tokens_per_batch=60)
    for left, right in zip(whole[:4], cut[:4], strict=True):
        for metric in ("loss", "grad_norm", "rewards/chosen"):
            assert right[metric] == pytest.approx(left[metric], rel=2e-3, abs=1e-4), metric


def test_token_level_dpo_with_adapters_shares_its_reference(toy_folder: Path, pairs: Path, tmp_path: Path) -> None:
    record = _trained("tdpo", toy_folder, pairs, tmp_path / "run", **{"model.lora": {"r": 4}, "learning_rate": 1e-2})
    assert record[0]["kl/chosen"] == pytest.approx(0, abs=1e-4)
    assert record[-1]["kl/chosen"] > 1e-3
    assert record[-1]["loss"] < record[0]["loss"]


def test_single_scores_have_nothing_to_compare(toy_folder: Path, tmp_path: Path) -> None:
    rows = [{"prompt": f"moon {i}", "responses": [GOOD], "scores": [3.0]} for i in range(8)]
    with pytest.raises(DataError, match="no group is left to train on"):
        _trained("rebel", toy_folder, _write(tmp_path, rows), tmp_path / "run")
    assert _trained("reward_scores", toy_folder, _write(tmp_path, rows), tmp_path / "other", epochs=1)


def test_only_the_best_scored_answer_is_imitated(toy_folder: Path, tmp_path: Path) -> None:
    both = _trained("sft", toy_folder, _scores(tmp_path), tmp_path / "both", epochs=1)
    rows = [{"prompt": f"moon {i}", "completion": GOOD} for i in range(24)]
    alone = _trained("sft", toy_folder, _write(tmp_path, rows), tmp_path / "alone", epochs=1)
    assert both[0]["loss"] == pytest.approx(alone[0]["loss"], rel=1e-5)
