"""Reward models beside Bradley-Terry, from file to trained model and from there to rewards."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from truing import recipe
from truing.evaluate.reward_model import evaluate_reward
from truing.group import Group, Prompt, Response
from truing.record import read_record
from truing.rewards.model import RewardModel
from truing.rewards.pair import PairPreference
from truing.rewards.process import ProcessReward
from truing.train import Step, train

GOOD, BAD = "it was good", "it was bad"


def _write(folder: Path, rows: list[dict[str, Any]]) -> Path:
    file = folder / "data.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows), encoding="utf-8")
    return file


def _recipe(name: str, model: Path, data: Path, **more: Any) -> recipe.Recipe:
    return recipe.load(
        name,
        {
            "model.path": str(model), "data.train": str(data), "batch_size": 8, "update.learning_rate": 3e-3,
            "epochs": 4, "validation_share": 0.2, "save_every": 0, **more,
        },
    )  # fmt: skip


def _pairs(folder: Path) -> Path:
    rows = [{"prompt": f"moon {i}", "chosen": GOOD, "rejected": BAD} for i in range(30)]
    return _write(folder, rows)


class Killed(Exception):
    pass


def test_a_preference_model_learns_is_saved_and_judges(toy_folder: Path, tmp_path: Path) -> None:
    train(_recipe("pair_preference", toy_folder, _pairs(tmp_path)), tmp_path / "run")
    record = read_record(tmp_path / "run")
    assert record[0]["loss"] == pytest.approx(0.693, abs=0.1)
    assert record[-1]["eval/rewards/accuracies"] == 1.0
    assert record[-1]["eval/loss"] < 0.3
    folder = tmp_path / "run" / "model"
    assert json.loads((folder / "truing.json").read_text())["reward"] == {"reading": "pair"}
    better, worse = PairPreference(path=str(folder)).probabilities(["a cat"] * 2, [GOOD, BAD], [BAD, GOOD])
    assert better > 0.8
    assert better + worse == pytest.approx(1.0, abs=1e-6)
    report = evaluate_reward(str(folder), str(tmp_path / "data.jsonl"), tmp_path / "report.json")
    assert (report.num_prompts, report.accuracy.value) == (30, 1.0)


def test_a_preference_run_that_was_cut_ends_with_the_same_weights(toy_folder: Path, tmp_path: Path) -> None:
    chosen = _recipe("pair_preference", toy_folder, _pairs(tmp_path), epochs=2, save_every=2)
    train(chosen, tmp_path / "whole")

    def cut(step: Step) -> None:
        if step.number == 3:
            raise Killed

    with pytest.raises(Killed):
        train(chosen, tmp_path / "cut", watch=cut)
    train(chosen, tmp_path / "cut", resume=True)
    whole, other = (load_file(tmp_path / run / "model" / "model.safetensors") for run in ("whole", "cut"))
    assert all(torch.equal(whole[name], other[name]) for name in whole)


def test_a_preference_model_rewards_the_samples_of_a_group(toy_folder: Path, tmp_path: Path, prompts: Path) -> None:
    train(_recipe("pair_preference", toy_folder, _pairs(tmp_path), epochs=1), tmp_path / "judge")
    chosen = recipe.load(
        "grpo",
        {
            "model.path": str(toy_folder), "data.train": str(prompts), "update.steps": 1, "group_size": 3,
            "prompts_per_step": 2, "max_new_tokens": 8, "validation_share": 0.0,
            "rewards": [{"pair_preference": {"path": str(tmp_path / "judge" / "model")}}],
        },
    )  # fmt: skip
    train(chosen, tmp_path / "run")
    (step,) = read_record(tmp_path / "run")
    assert step["rewards/pair_preference/mean"] == pytest.approx(0.5, abs=1e-5)  # what one wins, another loses
    assert step["reward_std"] > 0


# ---- several aspects -----------------------------------------------------------------------------------------------

ANSWERS = {GOOD: (5.0, 1.0), BAD: (1.0, 1.0), "the old dog ran": (3.0, 0.0)}  # stars, and whether it speaks of the cat


def _likert(folder: Path) -> Path:
    """Two aspects on scales of their own; the second is given for two rows in three."""
    rows = [
        {
            "prompt": [{"role": "user", "content": f"moon {i}"}],
            "responses": list(ANSWERS),
            "feedback": [
                {"kind": "scores", "values": {"stars": [s for s, _ in ANSWERS.values()]}, "scale": [1, 5]},
                {"kind": "scores", "values": {"cat": [c if i % 3 else None for _, c in ANSWERS.values()]}},
            ],
        }
        for i in range(30)
    ]
    return _write(folder, rows)


def test_every_aspect_is_learnt_by_a_head_of_its_own(toy_folder: Path, tmp_path: Path) -> None:
    data = _likert(tmp_path)
    train(_recipe("reward_aspects", toy_folder, data, epochs=10, **{"update.learning_rate": 1e-2}), tmp_path / "run")
    record = read_record(tmp_path / "run")
    assert record[-1]["eval/loss"] < 0.3  # the mean everywhere: 1
    assert record[-1]["eval/error/stars"] < 1.0
    assert record[-1]["eval/error/cat"] < 0.4
    folder = tmp_path / "run" / "model"
    about = json.loads((folder / "truing.json").read_text())["reward"]
    assert about["reading"] == "aspects"
    assert list(about["aspects"]) == ["cat", "stars"]
    assert about["aspects"]["stars"]["score_mean"] == pytest.approx(3.0)
    assert about["aspects"]["stars"]["score_std"] == pytest.approx((8 / 3) ** 0.5)
    assert about["aspects"]["cat"]["score_mean"] == pytest.approx(2 / 3)
    judge = RewardModel(path=str(folder))
    (rated,) = judge.ratings([Group(Prompt.of("moon 99"), tuple(map(Response.of, ANSWERS)))])
    for found, expected in zip(rated, ANSWERS.values(), strict=True):
        assert found["stars"] == pytest.approx(expected[0], abs=1.0)
        assert found["cat"] == pytest.approx(expected[1], abs=0.4)
    bound = {name: RewardModel(path=str(folder), weights={name: 1.0}) for name in ("stars", "cat")}
    stars, cat = (bound[name](["moon 99"] * 3, list(ANSWERS)) for name in ("stars", "cat"))
    assert stars[0] > stars[2] > stars[1]
    assert min(cat[:2]) > cat[2]


def test_a_cut_batch_of_aspects_learns_as_a_whole_one(toy_folder: Path, tmp_path: Path) -> None:
    data = _likert(tmp_path)
    for name, more in (("whole", {}), ("cut", {"tokens_per_batch": 40})):
        train(_recipe("reward_aspects", toy_folder, data, epochs=1, **more), tmp_path / name)
    for left, right in zip(read_record(tmp_path / "whole"), read_record(tmp_path / "cut"), strict=True):
        for name in ("loss", "grad_norm", "error", "rewards/mean"):
            assert right[name] == pytest.approx(left[name], rel=1e-3, abs=1e-5), name


DATA = Path(os.environ.get("TRUING_TEST_DATA", Path(__file__).parents[2] / "shared" / "data"))
TOPICAL_CHAT = DATA / "likert" / "topical_chat.jsonl.gz"


@pytest.mark.skipif(not TOPICAL_CHAT.exists(), reason="no real data: set TRUING_TEST_DATA to its folder")
def test_the_six_aspects_of_topical_chat_are_learnt(toy_folder: Path, tmp_path: Path) -> None:
    more = {"batch_size": 32, "max_prompt_tokens": 64, "max_response_tokens": 64, "epochs": 1}
    train(_recipe("reward_aspects", toy_folder, TOPICAL_CHAT, **more), tmp_path / "run")
    about = json.loads((tmp_path / "run" / "model" / "truing.json").read_text())["reward"]["aspects"]
    assert sorted(about) == ["coherence", "engagingness", "groundedness", "naturalness", "overall", "understandability"]
    assert 1 < about["naturalness"]["score_mean"] < 3
    assert 0 < about["groundedness"]["score_mean"] < 1
    assert read_record(tmp_path / "run")[-1]["eval/loss"] < 1.2


# ---- probabilities of steps ----------------------------------------------------------------------------------------


def test_a_process_reward_model_learns_the_probabilities_of_a_file(toy_folder: Path, tmp_path: Path) -> None:
    steps = {"the cat": 1.0, "sat on": 0.75, "it was bad": 0.125}
    rows = [
        {"prompt": f"moon {i}", "completions": list(steps), "probabilities": list(steps.values())} for i in range(30)
    ]
    chosen = _recipe(
        "process_reward_soft", toy_folder, _write(tmp_path, rows), epochs=8, **{"update.learning_rate": 1e-2}
    )
    train(chosen, tmp_path / "run")
    record = read_record(tmp_path / "run")
    assert record[0]["steps/right"] == pytest.approx((1 + 0.75 + 0.125) / 3)
    judge = ProcessReward(path=str(tmp_path / "run" / "model"))
    (found,) = judge.probabilities([Prompt.of("moon 99")], [Response.of_steps(list(steps))])
    assert found == pytest.approx(list(steps.values()), abs=0.1)
