from __future__ import annotations

import math
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from truing import recipe
from truing.bind import bind
from truing.chat import Chat
from truing.checks import check
from truing.errors import RecipeError, TrainingError
from truing.experience.online import Online
from truing.experience.rivals import faced, own, preference
from truing.group import Group, Prompt
from truing.models.loading import load_tokenizer
from truing.recipe import Named, RivalSettings, RolloutSettings
from truing.record import read_record
from truing.registry import advantage, reward
from truing.rewards.score import Scored
from truing.rollouts.sampling import Sample, Sampling
from truing.train import train
from truing.wire import wire

NAN = math.nan


def _samples(*sides: Sequence[bool]) -> list[list[Sample]]:
    return [[Sample([5], [-1.0], True, rival) for rival in side] for side in sides]


def _sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def test_a_response_is_measured_against_the_other_side_only() -> None:
    side = [False, False, True, True]
    wins = preference([2.0, 0.0, 1.0, 0.0], side, lambda gap: 0.5 if gap == 0 else float(gap > 0))
    assert wins == [1.0, 0.25, 0.5, 0.25]
    assert preference([1.0, NAN, 0.5, NAN], side, _sigmoid) == pytest.approx(
        [_sigmoid(0.5), NAN, _sigmoid(-0.5), NAN], nan_ok=True
    )
    assert preference([1.0, NAN], [False, True], _sigmoid) == pytest.approx([NAN, NAN], nan_ok=True)


def test_a_scalar_reward_becomes_the_probability_of_being_preferred() -> None:
    scored = Scored([[2.0, 1.0], [0.0, 3.0]], {"model": [[2.0, 1.0], [0.0, 3.0]]})
    samples = _samples([False, True], [False, True])
    found, metrics = faced(scored, samples, RivalSettings(compare="sigmoid", trained=False))
    assert [row[0] for row in found.totals] == pytest.approx([_sigmoid(1.0), _sigmoid(-3.0)])
    assert all(math.isnan(row[1]) for row in found.totals), "the rival's are not trained on"
    assert metrics["reward"] == 1.0
    assert metrics["rivals/reward"] == 2.0
    assert metrics["rivals/win_rate"] == 0.5
    assert metrics["rewards/model/mean"] == 1.0
    assert metrics["rivals/preference"] == pytest.approx((_sigmoid(1.0) + _sigmoid(-3.0)) / 2)


def test_a_wide_gap_is_no_overflow() -> None:
    found, _ = faced(Scored([[-900.0, 900.0]], {}), _samples([False, True]), RivalSettings(compare="sigmoid"))
    assert found.totals == [[0.0, 1.0]]


def test_rewards_stay_what_they_are_where_nothing_is_compared() -> None:
    scored = Scored([[2.0, 1.0]], {}, [[[2.0], None]])
    found, _ = faced(scored, _samples([False, True]), RivalSettings())
    assert (found.totals, found.dense) == (scored.totals, scored.dense)
    with pytest.raises(TrainingError, match="rewards single tokens"):
        faced(scored, _samples([False, True]), RivalSettings(compare="wins"))


def test_the_policys_own_samples_are_told_apart() -> None:
    samples = _samples([False, True], [True, False])
    kept, texts = own(samples, [["a", "b"], ["c", "d"]])
    assert texts == [["a"], ["d"]]
    assert kept == [[samples[0][0]], [samples[1][1]]]


# ---- in a batch ----


class Says:
    """Answers every prompt with one token, `number` of them."""

    def __init__(self, token: int, *, rival: bool = False) -> None:
        self.token, self.rival, self.seeds = token, rival, list[int | None]()

    def generate(self, prompts: Sequence[list[int]], num_samples: int, sampling: Sampling) -> list[list[Sample]]:
        self.seeds.append(sampling.seed)
        return [[Sample([self.token] * (k + 1), [-0.5] * (k + 1), True, self.rival) for k in range(num_samples)]] * len(
            prompts
        )


def _longer(prompts: Sequence[str], completions: Sequence[str], *, completion_ids: Any, rivals: Any) -> list[float]:
    return [len(ids) + 10.0 * rival for ids, rival in zip(completion_ids, rivals, strict=True)]


def _online(folder: Path, made: str | None, **rivals: Any) -> Online:
    settings = RolloutSettings(group_size=2, prompts_per_step=2, rivals=RivalSettings.model_validate(rivals))
    bound = bind(advantage, Named(name=made)) if made else None
    prompts = [Group(Prompt.of(text)) for text in ("the cat", "a dog")]
    chat = Chat(load_tokenizer(folder))
    online = Online(prompts, chat, Says(5), [("longer", 1.0, _longer)], bound, settings, 0, 4)
    online.rivals = Says(6, rival=True)
    return online


def test_rivals_that_are_not_trained_on_are_masked_and_in_no_baseline(toy_folder: Path) -> None:
    batch = _online(toy_folder, "leave_one_out", trained=False).batch(0)
    tree = batch.trees[0]
    assert tree.feedback["rivals"] == [False, False, True]
    assert [any(b.mask) for b in tree.branches] == [True, True, False]
    assert [row[0] for row in tree.feedback["advantages"]] == [-1.0, 1.0, 0.0]
    assert (batch.metrics["reward"], batch.metrics["rivals/reward"]) == (1.5, 11.0)
    assert batch.metrics["completions/mean_length"] == 1.5


def test_trained_rivals_make_pairs_with_the_policys_responses(toy_folder: Path) -> None:
    online = _online(toy_folder, None)
    online.needs = frozenset({"chosen", "rivals"})
    tree = online.batch(0).trees[0]
    assert tree.feedback["pairs"] == [(2, 0)]  # the rival's 11 is the best, the policy's 1 the worst
    assert all(any(b.mask) for b in tree.branches)


def test_the_rival_draws_with_a_seed_of_its_own(toy_folder: Path) -> None:
    online = _online(toy_folder, None)
    online.batch(0)
    assert isinstance(online.rollouts, Says)
    assert isinstance(online.rivals, Says)
    assert set(online.rollouts.seeds).isdisjoint(online.rivals.seeds)


# ---- whole runs ----


def low_numbers(prompts: Sequence[str], completions: Sequence[str], *, completion_ids: Any) -> list[float]:
    """The share of tokens with a number below 160: half of the vocabulary."""
    return [sum(t < 160 for t in ids) / len(ids) for ids in completion_ids]


reward.register(low_numbers, "low_numbers")


def _recipe(name: str, model: Path, data: Path, **more: Any) -> recipe.Recipe:
    where = {"model.path": str(model), "data.train": str(data), "rewards": ["low_numbers"], "max_new_tokens": 6}
    return recipe.load(name, where | {"prompts_per_step": 8, "learning_rate": 1e-3, "steps": 3} | more)


@pytest.mark.parametrize("name", ["xpo", "nash_md"])
@pytest.mark.parametrize("lora", [None, {"r": 4, "alpha": 8}], ids=["full", "lora"])
def test_the_recipes_train(name: str, lora: Any, toy_folder: Path, prompts: Path, tmp_path: Path) -> None:
    made = _recipe(name, toy_folder, prompts, **({"model.lora": lora} if lora else {}))
    train(made, tmp_path / "run")
    record = read_record(tmp_path / "run")
    assert all(math.isfinite(line["loss"]) for line in record)
    assert record[0]["sampling/difference"] < 1e-4, "of the policy's own samples"
    assert "rivals/win_rate" in record[-1]
    if name == "xpo":
        assert record[0]["loss/dpo"] == pytest.approx(math.log(2), abs=1e-4)
        assert record[0]["logps/rivals"] < -1
    else:
        assert record[0]["kl/sequence"] == pytest.approx(0.0, abs=1e-3)


def test_nash_md_learns_to_beat_the_mixture(toy_folder: Path, prompts: Path, tmp_path: Path) -> None:
    """Which of two answers has the larger share of low token numbers is all that it is told."""
    more = {"rivals.compare": "wins", "rivals.mixture": 1.0, "reward_kl.coefficient": 0.0, "learning_rate": 3e-2}
    made = _recipe("nash_md", toy_folder, prompts, prompts_per_step=32, steps=15, schedule="constant", **more)
    train(made, tmp_path / "run")
    record = read_record(tmp_path / "run")
    assert sum(line["rivals/win_rate"] for line in record[:2]) / 2 < 0.65
    assert sum(line["rivals/win_rate"] for line in record[-3:]) / 3 > 0.75
    assert record[-1]["rivals/preference"] == record[-1]["rivals/win_rate"]


@pytest.mark.parametrize(
    ("name", "more", "words"),
    [
        ("xpo", {"rollouts.rivals.trained": False}, "reads `rivals`, and there is none to train on"),
        ("xpo", {"rollouts.rivals": None}, "reads `rivals`, and there is none to train on"),
        ("nash_md", {"advantage": "greedy_baseline"}, "has made another number of the rewards"),
    ],
)
def test_what_cannot_mean_anything_is_refused(name: str, more: dict[str, Any], words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        check(recipe.load(name, {"model.path": "m", "data.train": "d", "rewards": ["low_numbers"], **more}))


def test_a_reference_is_in_memory_where_the_rival_needs_one_and_only_there(toy_folder: Path, prompts: Path) -> None:
    without = {"reward_kl": None, "rivals.mixture": 0.0}
    assert wire(_recipe("nash_md", toy_folder, prompts, **without)).policy.reference is None
    assert wire(_recipe("nash_md", toy_folder, prompts, reward_kl=None)).policy.reference is not None
