from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

from truing import recipe, registry
from truing.errors import RecipeError, TrainingError
from truing.models.heads import load_reward_model
from truing.models.loading import load_causal_lm
from truing.record import read_record
from truing.rewards.model import RewardModel
from truing.rewards.process import ProcessReward
from truing.train import train

SMALL = {"batch_size": 8, "learning_rate": 1e-3, "save_every": 3, "validation_share": 0.1}


def _recipe(name: str, model: Path, data: Path, **more: object) -> recipe.Recipe:
    return recipe.load(name, {"model.path": str(model), "data.train": str(data), **SMALL, **more})


def test_sft_learns_and_leaves_a_plain_folder(toy_folder: Path, demonstrations: Path, tmp_path: Path) -> None:
    result = train(_recipe("sft", toy_folder, demonstrations, epochs=3), tmp_path / "run")
    record = read_record(tmp_path / "run")
    assert [line["step"] for line in record] == list(range(1, 16))
    assert record[-1]["loss"] < record[0]["loss"] - 0.3
    assert record[-1]["eval/loss"] < record[0]["loss"]
    assert record[0]["perplexity"] == pytest.approx(2.718281828 ** record[0]["nll"])
    assert load_causal_lm(result.model).config.vocab_size == 320
    assert load_causal_lm(tmp_path / "run").config.vocab_size == 320, "the folder of a run stands for its model"
    assert recipe.load(tmp_path / "run" / "recipe.yaml").name == "sft"
    assert any("chat template" in note for note in result.notes)


def test_notes_are_heard_before_the_first_step(toy_folder: Path, pairs: Path, tmp_path: Path) -> None:
    said: list[str] = []
    chosen = _recipe("sft", toy_folder, pairs, steps=1, max_response_tokens=3)
    train(chosen, tmp_path / "run", watch=lambda step: said.append("step"), hear=said.append)
    assert said[-1] == "step"
    assert said.count("step") == 1
    assert any("responses cut to 3 tokens" in note for note in said)


def test_dpo_prefers_what_was_preferred(toy_folder: Path, pairs: Path, tmp_path: Path) -> None:
    train(_recipe("dpo", toy_folder, pairs, epochs=4), tmp_path / "run")
    record = read_record(tmp_path / "run")
    assert record[0]["loss"] == pytest.approx(0.6931, abs=1e-4)
    assert record[-1]["eval/rewards/accuracies"] == 1.0


def test_a_reward_model_learns_and_is_a_standard_one(toy_folder: Path, pairs: Path, tmp_path: Path) -> None:
    result = train(_recipe("reward", toy_folder, pairs, epochs=4), tmp_path / "run")
    assert read_record(tmp_path / "run")[-1]["eval/rewards/accuracies"] == 1.0
    assert load_reward_model(result.model).config.num_labels == 1
    about = json.loads((result.model / "truing.json").read_text())
    assert about["kind"] == "reward model"
    assert about["reward"]["std"] > 0


def test_a_process_reward_model_tells_right_steps_from_wrong_ones(toy_folder: Path, tmp_path: Path) -> None:
    """A step is right where it ends in 'good'."""
    file = tmp_path / "steps.jsonl"
    starts, rows = ["the cat", "a young dog", "red moon", "it was"], []
    for i in range(48):
        marks = [(i >> step) % 2 == 0 for step in range(3)]
        steps = [f"{starts[(i + s) % 4]} {'good' if mark else 'bad'}" for s, mark in enumerate(marks)]
        rows.append({"prompt": starts[i % 4], "completions": steps, "labels": marks})
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    more = {"epochs": 6, "update.learning_rate": 3e-3, "save_every": 0}
    result = train(_recipe("process_reward", toy_folder, file, **more), tmp_path / "run")
    record = read_record(tmp_path / "run")
    assert record[-1]["eval/steps/accuracies"] == 1.0
    assert record[-1]["eval/loss"] < 0.2
    assert json.loads((result.model / "truing.json").read_text())["reward"] == {"reading": "steps"}
    judge = ProcessReward(path=str(result.model), score="min")
    good, spoilt = judge(["the cat"] * 2, ["the dog good\na bird good", "the dog bad\na bird good"])
    assert good > 0.8 > 0.2 > spoilt


def test_a_token_reward_model_learns_from_preferences_and_is_read_as_it_was_trained(
    toy_folder: Path, pairs: Path, tmp_path: Path
) -> None:
    chosen = _recipe("token_reward", toy_folder, pairs, epochs=4, **{"token_reward.pool": "sum"})
    result = train(chosen, tmp_path / "run")
    assert read_record(tmp_path / "run")[-1]["eval/rewards/accuracies"] == 1.0
    about = json.loads((result.model / "truing.json").read_text())["reward"]
    assert about["reading"] == "sum"
    judge = RewardModel(path=str(result.model), normalise=False)
    good, bad = judge(["the cat"] * 2, ["it was good", "it was bad"])
    assert good > bad
    scaled = RewardModel(path=str(result.model))(["the cat"], ["it was good"])[0]
    assert scaled == pytest.approx((good - about["mean"]) / about["std"], abs=1e-4)


def test_lora_trains_adapters_against_the_model_without_them(toy_folder: Path, pairs: Path, tmp_path: Path) -> None:
    lora = {"model.lora": {"r": 4, "alpha": 8}, "learning_rate": 1e-2}
    result = train(_recipe("dpo", toy_folder, pairs, **lora), tmp_path / "run")
    record = read_record(tmp_path / "run")
    assert record[0]["loss"] == pytest.approx(0.6931, abs=1e-4)
    assert record[-1]["rewards/margins"] > 0.05
    assert (result.model / "model.safetensors").exists(), "adapters are merged into a plain model"


def _weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model" / "model.safetensors")


def _same(a: Path, b: Path) -> bool:
    left, right = _weights(a), _weights(b)
    return left.keys() == right.keys() and all(torch.equal(left[n], right[n]) for n in left)


class _Cut(Exception):
    pass


@pytest.mark.parametrize("name", ["sft", "dpo", "reward"])
def test_a_run_that_was_cut_ends_as_one_that_was_not(name: str, toy_folder: Path, pairs: Path, tmp_path: Path) -> None:
    chosen = _recipe(name, toy_folder, pairs, epochs=2)
    train(chosen, tmp_path / "whole")

    def cut(step: object) -> None:
        if step.number == 7:  # type: ignore[attr-defined]
            raise _Cut

    with pytest.raises(_Cut):
        train(chosen, tmp_path / "cut", watch=cut)
    assert not (tmp_path / "cut" / "model").exists()
    resumed = []
    train(chosen, tmp_path / "cut", resume=True, watch=lambda step: resumed.append(step.number))
    assert resumed[0] == 7, "it goes on after the checkpoint of step 6"
    assert _same(tmp_path / "whole", tmp_path / "cut")
    assert [line["step"] for line in read_record(tmp_path / "cut")] == list(range(1, 11))


def test_an_online_run_that_was_cut_ends_as_one_that_was_not(
    toy_folder: Path, pairs: Path, prompts: Path, tmp_path: Path
) -> None:
    judge = train(_recipe("reward", toy_folder, pairs), tmp_path / "judge")
    chosen = recipe.load(
        "grpo",
        {
            "model.path": str(toy_folder), "data.train": str(prompts),
            "rewards": [{"model": {"path": str(judge.model)}}],
            "steps": 5, "save_every": 2, "group_size": 4, "prompts_per_step": 4, "max_new_tokens": 8,
            "update.learning_rate": 1e-3, "passes": 2, "minibatches": 2,
        },
    )  # fmt: skip
    train(chosen, tmp_path / "whole")

    def cut(step: object) -> None:
        if step.number == 3:  # type: ignore[attr-defined]
            raise _Cut

    with pytest.raises(_Cut):
        train(chosen, tmp_path / "cut", watch=cut)
    resumed = []
    train(chosen, tmp_path / "cut", resume=True, watch=lambda step: resumed.append(step.number))
    assert resumed == [3, 4, 5]
    assert _same(tmp_path / "whole", tmp_path / "cut")
    first = read_record(tmp_path / "whole")[0]
    assert {"reward", "reward_std", "kl", "frac_reward_zero_std", "ratio", "completions/mean_length"} <= first.keys()


def test_the_first_ratio_of_an_on_policy_step_is_one(toy_folder: Path, prompts: Path, tmp_path: Path) -> None:
    @registry.reward
    def length_of_answer(prompts: object, completions: list[str], **columns: object) -> list[float]:
        return [float(len(c)) for c in completions]

    overrides = {
        "model.path": str(toy_folder), "data.train": str(prompts), "rewards": ["length_of_answer"], "steps": 3,
        "max_new_tokens": 12, "prompts_per_step": 4, "update.learning_rate": 1e-3, "temperature": 0.7,
    }  # fmt: skip
    train(recipe.load("grpo", overrides), tmp_path / "run")
    for line in read_record(tmp_path / "run"):
        assert line["ratio"] == pytest.approx(1.0, abs=1e-5), "sampler and trainer agree on log-probabilities"


def test_a_folder_with_a_run_is_not_overwritten(toy_folder: Path, pairs: Path, tmp_path: Path) -> None:
    chosen = _recipe("sft", toy_folder, pairs, steps=1)
    done = train(chosen, tmp_path / "run")
    with pytest.raises(RecipeError, match="there is a run in this folder\n  Continue it with --resume"):
        train(chosen, tmp_path / "run")
    with pytest.raises(RecipeError, match="update.learning_rate was 0.001, is 0.5"):
        train(_recipe("sft", toy_folder, pairs, steps=1, learning_rate=0.5), tmp_path / "run", resume=True)
    assert train(chosen, tmp_path / "run", resume=True).steps == done.steps, "a finished run is not done again"


def test_a_loss_that_is_no_number_stops_the_run_with_nothing_half_written(
    toy_folder: Path, demonstrations: Path, tmp_path: Path
) -> None:
    chosen = _recipe("sft", toy_folder, demonstrations, learning_rate=1e30, schedule="constant", warmup=0.0)
    with pytest.raises(TrainingError, match=r"step 2: the loss is .* and the gradient norm (nan|inf)"):
        train(chosen, tmp_path / "run")
    assert not (tmp_path / "run" / "model").exists()
    assert not (tmp_path / "run" / "result.json").exists()


@pytest.mark.slow
def test_sigkill_at_any_moment_changes_nothing_in_the_end(toy_folder: Path, pairs: Path, tmp_path: Path) -> None:
    arguments = [sys.executable, "-m", "truing.cli", "train", "dpo", "--model", str(toy_folder), "--data", str(pairs)]
    for setting in ("batch_size=4", "epochs=6", "save_every=5", "learning_rate=1e-3"):
        arguments += ["--set", setting]
    environment = {**os.environ, "OMP_NUM_THREADS": "1"}
    whole, killed = tmp_path / "whole", tmp_path / "killed"
    # Each has a cache of its own: the second must not learn from the first what the reference said.
    alone = {**environment, "TRUING_CACHE": str(tmp_path / "cache")}
    subprocess.run([*arguments, "--out", str(whole)], check=True, env=alone, capture_output=True)
    kills = 0
    for wait in (0.05, 0.4, 0.9, 0.2, 0.6, 0.0):
        process = subprocess.Popen(
            [*arguments, "--out", str(killed), "--resume"],
            env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )  # fmt: skip
        before = _lines(killed)
        while process.poll() is None and _lines(killed) <= before:
            time.sleep(0.01)
        time.sleep(wait)
        if process.poll() is None:
            process.send_signal(signal.SIGKILL)
            kills += 1
        process.wait()
    assert kills >= 3
    subprocess.run([*arguments, "--out", str(killed), "--resume"], check=True, env=environment, capture_output=True)
    assert _same(whole, killed)
    record = read_record(killed)
    assert [line["step"] for line in record] == [line["step"] for line in read_record(whole)]
    assert [line["loss"] for line in record] == [line["loss"] for line in read_record(whole)]


def _lines(folder: Path) -> int:
    file = folder / "record.jsonl"
    return len(file.read_bytes().splitlines()) if file.exists() else 0
