"""Conditions provoked in real small runs: a toy model is trained wrongly, and the monitor says how."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import pytest

from truing import lab, recipe, registry
from truing.monitor import Finding, Monitor
from truing.train import loop, train
from truing.wire import wire

OFFLINE = {"update.batch_size": 8, "save_every": 0, "update.schedule": "constant"}
ONLINE = {
    "group_size": 4, "prompts_per_step": 4, "max_new_tokens": 12, "save_every": 0, "data.validation_share": 0.0,
    "update.schedule": "constant", "update.warmup": 0.0, "sample_every": 0,
}  # fmt: skip


@pytest.fixture(scope="session", autouse=True)
def _rewards() -> None:
    @registry.reward
    def constant_of_test(prompts: Sequence[Any], completions: Sequence[str], **columns: Any) -> list[float]:
        return [0.5] * len(completions)

    @registry.reward
    def size_of_test(prompts: Sequence[Any], completions: Sequence[str], **columns: Any) -> list[float]:
        return [float(len(ids)) for ids in columns["completion_ids"]]

    @registry.reward
    def again_of_test(
        prompts: Sequence[Any], completions: Sequence[str], *, completion_ids: Sequence[list[int]], **columns: Any
    ) -> list[float]:
        """The share of the likeliest token: to say one thing over and over is best."""
        return [max(map(ids.count, ids)) / len(ids) for ids in completion_ids]

    @registry.reward
    def often_of_test(
        prompts: Sequence[Any], completions: Sequence[str], *, completion_ids: Sequence[list[int]], **columns: Any
    ) -> list[float]:
        """How often the likeliest token is said."""
        return [float(max(map(ids.count, ids))) for ids in completion_ids]

    calls = 0

    @registry.reward
    def outlier_of_test(prompts: Sequence[Any], completions: Sequence[str], **columns: Any) -> list[float]:
        nonlocal calls
        calls += 1
        return [ids[0] % 7 * (1000.0 if calls >= 24 else 1.0) for ids in columns["completion_ids"]]

    @registry.reward
    def words_of_test(prompts: Sequence[Any], completions: Sequence[str], **columns: Any) -> list[float]:
        return [float(len(text.split())) for text in completions]

    @registry.reward
    def judge_of_test(
        prompts: Sequence[str],
        completions: Sequence[str],
        *,
        kind: Sequence[str],
        item: Sequence[str],
        finished: Sequence[bool],
        **columns: Any,
    ) -> list[float]:
        rows = zip(kind, item, prompts, completions, finished, strict=True)
        return [lab.utility(lab.Request(k, i, asked), text, end) for k, i, asked, text, end in rows]


@pytest.fixture
def unsolved(tmp_path: Path) -> Path:
    """Problems whose answer nobody says."""
    file = tmp_path / "problems.jsonl"
    file.write_text(
        "".join(json.dumps({"prompt": f"how many cats are {i} cats?", "answer": "31337"}) + "\n" for i in range(8))
    )
    return file


Run = Callable[..., dict[str, Finding]]


@pytest.fixture
def run(toy_folder: Path, tmp_path: Path) -> Run:
    """Train the toy; the last finding that was told of each condition."""

    def train_toy(name: str, data: Path, **settings: Any) -> dict[str, Finding]:
        more = ONLINE if recipe.load(name).online else OFFLINE
        chosen = {"model.path": str(toy_folder), "data.train": str(data), **more, **settings}
        found: dict[str, Finding] = {}
        train(recipe.load(name, chosen), tmp_path / "run", tell=lambda f: found.update({f.condition: f}))
        return found

    return train_toy


def test_a_reward_that_is_constant_teaches_nothing(run: Run, prompts: Path) -> None:
    found = run("grpo", prompts, rewards=["constant_of_test"], **{"update.steps": 3})
    assert "the reward is 0.5 whatever is said" in found["same_rewards"].found


def test_problems_that_are_too_hard_are_named_with_the_cure(run: Run, unsolved: Path) -> None:
    more = {"model.path": str(lab.base_path()), "update.steps": 3, "max_new_tokens": 40, "prompts_per_step": 3}
    found = run("grpo", unsolved, rewards=["math"], **more)["same_rewards"]
    assert "all are wrong, with 0: the task is too hard for the policy, or it never produces the format" in found.found
    assert "SFT on worked answers" in found.advice


def test_answers_that_are_cut_before_they_come_are_named_with_the_cure(run: Run, unsolved: Path) -> None:
    found = run("grpo", unsolved, rewards=["math"], **{"update.steps": 3, "max_new_tokens": 2})
    assert "are cut at max_new_tokens before they come to an answer" in found["same_rewards"].found
    assert "Raise rollouts.max_new_tokens" in found["same_rewards"].advice
    assert found["truncated"].severity == pytest.approx(2.0, abs=0.2)


def test_a_reward_for_words_is_seen_in_its_correlation_with_length_and_in_the_kl(run: Run, tmp_path: Path) -> None:
    """On the embedded world, whose answers are short at first."""
    data = tmp_path / "world.jsonl"
    lab.write_prompts(data, "train", 24)
    more = {"model.path": str(lab.base_path()), "update.steps": 6, "max_new_tokens": 96, "update.learning_rate": 5e-3}
    found = run("grpo", data, rewards=["words_of_test"], **more)
    assert {"reward_is_length", "kl_drift"} <= found.keys()


def test_updates_that_are_too_large_are_seen_in_what_is_clipped(run: Run, prompts: Path) -> None:
    more = {"update.steps": 4, "update.learning_rate": 1e-1, "update.passes": 4}
    found = run("grpo", prompts, rewards=["again_of_test"], **more)
    assert found["clip_fraction"].severity > 1.2


def test_values_that_explain_nothing_are_seen(run: Run, prompts: Path) -> None:
    limits = {"explained_variance": {"window": 3, "grace": 1, "least": 0.1}}
    more = {"update.steps": 4, "critic.lr_multiplier": 1e-6, "monitor.limits": limits}
    found = run("ppo", prompts, rewards=["size_of_test"], **more, group_size=1, prompts_per_step=8)
    assert "of the variance of the returns" in found["explained_variance"].found


def test_training_at_another_temperature_than_sampling_is_seen(toy_folder: Path, prompts: Path) -> None:
    more = {"update.steps": 3, "rewards": ["size_of_test"], "rollouts.old_logprobs": "sampling"}
    chosen = recipe.load("grpo", {"model.path": str(toy_folder), "data.train": str(prompts), **ONLINE, **more})
    made = wire(chosen)
    made.policy.temperature = 0.5
    monitor = Monitor(chosen.monitor)
    found = {
        f.condition: f
        for step in loop(made.experience, made.updater)
        for f in monitor.observe(step.number, step.metrics)
    }
    assert found["sampling_mismatch"].severity > 1.2
    assert found["first_ratio"].severity > 2


def test_eight_rows_learnt_by_heart_are_overfitting(run: Run, demonstrations: Path, tmp_path: Path) -> None:
    few, held = tmp_path / "few.jsonl", tmp_path / "held.jsonl"
    lines = demonstrations.read_text().splitlines(keepends=True)
    few.write_text("".join(lines[:8]))
    held.write_text("".join(lines[8:24]))
    more = {
        "data.validation": str(held),
        "update.epochs": 40,
        "update.learning_rate": 1e-2,
        "record.evaluate_every": 10,
    }
    assert run("sft", few, **more)["overfitting"].severity > 2


def test_a_policy_that_finds_one_answer_is_seen_in_entropy_and_kl(run: Run, prompts: Path) -> None:
    # The learning rate grows until a step goes further than the ten before it; so it is with each of eight seeds.
    more = {
        "update.steps": 30,
        "update.learning_rate": 5e-2,
        "update.warmup": 0.8,
        "max_new_tokens": 24,
        "group_size": 8,
    }
    found = run("grpo", prompts, rewards=["again_of_test"], **more)
    assert {"entropy_collapse", "kl_spike"} <= found.keys()


def test_one_word_said_over_and_over_is_seen(run: Run, prompts: Path) -> None:
    more = {"update.steps": 40, "update.learning_rate": 2e-2, "max_new_tokens": 24, "group_size": 8}
    assert "repetition" in run("grpo", prompts, rewards=["often_of_test"], **more)


def test_responses_worth_a_fraction_of_their_number_are_seen(toy_folder: Path, prompts: Path) -> None:
    more = {"update.steps": 4, "rewards": ["size_of_test"], "max_new_tokens": 64}
    chosen = recipe.load("grpo", {"model.path": str(toy_folder), "data.train": str(prompts), **ONLINE, **more})
    made = wire(chosen)
    made.policy.temperature = 0.3
    monitor = Monitor(chosen.monitor)
    found = {
        f.condition for step in loop(made.experience, made.updater) for f in monitor.observe(step.number, step.metrics)
    }
    assert "few_effective_samples" in found


def test_a_reward_for_words_makes_responses_explode(run: Run, tmp_path: Path) -> None:
    data = tmp_path / "world.jsonl"
    lab.write_prompts(data, "train", 24)
    more = {"model.path": str(lab.base_path()), "update.steps": 16, "max_new_tokens": 128, "update.learning_rate": 2e-3}
    found = run("grpo", data, rewards=["words_of_test"], **more, group_size=8)
    assert "length_explosion" in found


def test_one_outlier_of_a_reward_is_seen_in_the_gradient(run: Run, prompts: Path) -> None:
    """From the 24th step on every reward is a thousand times as large."""
    more = {"update.steps": 25, "update.learning_rate": 1e-5, "advantage": {"group_mean": {"scale": "none"}}}
    found = run("dr_grpo", prompts, rewards=["outlier_of_test"], **more)
    assert found["gradient_explosion"].severity > 2


def test_swapped_labels_are_seen_in_the_accuracy_on_others(run: Run, pairs: Path, tmp_path: Path) -> None:
    rows = [json.loads(line) for line in pairs.read_text().splitlines()]
    flipped, held = tmp_path / "flipped.jsonl", tmp_path / "held.jsonl"
    swapped = [row | {"chosen": row["rejected"], "rejected": row["chosen"]} for row in rows[:32]]
    flipped.write_text("".join(json.dumps(row) + "\n" for row in swapped))
    held.write_text("".join(json.dumps(row) + "\n" for row in rows[32:]))
    more = {"data.validation": str(held), "update.epochs": 3, "update.learning_rate": 1e-3}
    found = run("reward", flipped, **more)["accuracy"]
    assert "0% of the held-out comparisons are told right" in found.found
    assert "On the training data it is 100%: Look whether chosen and rejected are swapped" in found.advice


# ---- healthy runs --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("name", "data"), [("sft", "demonstrations"), ("reward", "pairs"), ("dpo", "pairs")])
def test_nothing_is_found_in_healthy_offline_runs(
    run: Run, name: str, data: str, request: pytest.FixtureRequest
) -> None:
    more = {"update.epochs": 4, "update.learning_rate": 1e-3, "data.validation_share": 0.2, "record.evaluate_every": 5}
    assert run(name, request.getfixturevalue(data), **more) == {}


@pytest.mark.parametrize("name", ["grpo", "rloo", "ppo", "reinforce_pp"])
def test_nothing_is_found_in_healthy_online_runs(run: Run, name: str, tmp_path: Path) -> None:
    """On the embedded world, whose answers end; the reward is what the hidden judge says."""
    data = tmp_path / "world.jsonl"
    lab.write_prompts(data, "train", 40)
    size = (
        {"group_size": 4, "prompts_per_step": 6}
        if name in ("grpo", "rloo")
        else {"group_size": 1, "prompts_per_step": 24}
    )
    more = {"model.path": str(lab.base_path()), "update.steps": 6, "max_new_tokens": 40, "update.learning_rate": 3e-4}
    judge = {"rewards": ["judge_of_test"], "update.passes": 2 if name == "ppo" else 1}
    assert run(name, data, **more, **size, **judge) == {}
