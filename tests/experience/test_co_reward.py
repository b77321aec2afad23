from __future__ import annotations

import json
import math
import random
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from truing import recipe
from truing.checks import check
from truing.errors import RecipeError
from truing.experience.co_reward import Comparison, CoReward, comparisons, correlation, known_comparisons, trainable
from truing.group import Group, Prompt, Ranking, Response
from truing.models.heads import load_reward_model, reward_model_from
from truing.models.loading import load_causal_lm, load_tokenizer
from truing.recipe import RewardUpdates
from truing.record import read_record
from truing.registry import reward
from truing.rewards.ensemble import Ensemble
from truing.rewards.model import RewardModel
from truing.rollouts.sampling import Sample
from truing.train import train

ANSWERS = ("good good", "a good cat", "the bad cat", "bad bad")


def most_good(prompts: Sequence[str], completions: Sequence[str]) -> list[float | None]:
    """Good words less bad ones; of nothing at all it does not speak."""
    return [None if not c else float(c.count("good") - c.count("bad")) for c in completions]


def low_half(prompts: Sequence[str], completions: Sequence[str], *, completion_ids: Any) -> list[float]:
    """The share of tokens with a number below 160."""
    return [sum(t < 160 for t in ids) / len(ids) for ids in completion_ids]


reward.register(low_half, "low_half")


def _member(folder: Path, seed: int = 0) -> RewardModel:
    return RewardModel.of(reward_model_from(load_causal_lm(folder), seed=seed), load_tokenizer(folder))


def _co(members: Sequence[RewardModel], known: Sequence[Comparison] = (), **settings: Any) -> CoReward:
    given = {"every": 1, "comparisons": 8, "updates": 6, "compared_at_once": 8, "rate": 3e-3, **settings}
    return CoReward(members, [("most_good", 1.0, most_good)], RewardUpdates.model_validate(given), 0, known)


def _batch(answers: Sequence[str] = ANSWERS, number: int = 4) -> tuple[Any, ...]:
    """Prompts, each with the same answers, as `learn` is given them."""
    groups = [Group(Prompt.of(f"moon {i}")) for i in range(number)]
    samples = [[Sample([9, k + 5], [-1.0, -1.0], True) for k in range(len(answers))] for _ in groups]
    return groups, [[1, 2]] * number, samples, [list(answers)] * number


def _row(*tokens: int, rival: bool = False) -> list[Sample]:
    return [Sample([t], [-1.0], True, rival) for t in tokens]


def test_every_group_gives_one_comparison_before_any_gives_a_second() -> None:
    samples = [_row(5, 6, 7), _row(5, 6), _row(5, 5)]
    found = comparisons(samples, 3, "0/0")
    assert sorted(g for g, _, _ in found[:2]) == [0, 1], "the same tokens twice are no comparison"
    assert found[2][0] == 0
    assert len(comparisons(samples, 99, "0/0")) == 4
    assert comparisons(samples, 3, "0/0") == found
    assert comparisons([_row(5), [*_row(6), *_row(7, rival=True)]], 9, "0/0") == [], "a rival's response is not its own"


def test_a_correlation_of_differences_is_about_zero() -> None:
    assert correlation([1.0, 2.0], [2.0, 4.0]) == pytest.approx(1.0)
    assert correlation([1.0, -1.0], [1.0, 1.0]) == 0.0
    assert math.isnan(correlation([0.0], [1.0]))


def test_a_comparison_survives_json() -> None:
    said = Comparison(Prompt.of("a"), Response.of("b"), Response.of("c"), (True, False), 0.5)
    assert Comparison.of(json.loads(json.dumps(said.plain()))) == said


def test_rankings_are_comparisons_to_begin_with() -> None:
    group = Group(Prompt.of("?"), tuple(map(Response.of, "abc")), (Ranking((1, 2, 2)),))
    assert [(c.better.text, c.worse.text) for c in known_comparisons([group])] == [("a", "b"), ("a", "c")]


def test_a_model_learns_what_the_judge_says_and_is_asked_before_it_has(toy_folder: Path) -> None:
    co = _co([_member(toy_folder)])
    first = co.learn(0, *_batch())
    for step in range(1, 5):
        last = co.learn(step, *_batch())
    assert first["co_reward/comparisons"] == 8.0
    assert last["co_reward/accuracy"] == 1.0
    assert last["co_reward/correlation"] > 0.8 > first["co_reward/correlation"]
    assert last["co_reward/loss"] < first["co_reward/loss"]
    assert last["co_reward/disagreement"] == 0.0
    good, bad = co.members[0](["moon 9"] * 2, ["good good", "bad bad"])
    assert good > bad


def test_its_accuracy_is_that_of_the_models_as_the_policy_was_trained_with_them(toy_folder: Path) -> None:
    """The same members without learning order the same comparisons alike."""
    learning, fixed = _co([_member(toy_folder)]), _member(toy_folder)
    found = learning.learn(0, *_batch())
    scores = [fixed.score_groups([c.group()])[0] for c in learning.memory]
    assert found["co_reward/accuracy"] == sum(better > worse for better, worse in scores) / 8


def test_nothing_is_asked_between_updates(toy_folder: Path) -> None:
    co = _co([_member(toy_folder)], every=3)
    assert [bool(co.learn(step, *_batch())) for step in range(6)] == [False, False, True, False, False, True]


def test_ties_and_silence_teach_nothing(toy_folder: Path) -> None:
    co = _co([_member(toy_folder)])
    before = {n: p.clone() for n, p in co.members[0].model.named_parameters()}
    assert co.learn(0, *_batch(("the cat", "a dog", ""))) == {"co_reward/comparisons": 0.0}
    assert all(torch.equal(before[n], p) for n, p in co.members[0].model.named_parameters())
    assert co.memory == []


def test_members_of_an_ensemble_draw_for_themselves_and_disagree(toy_folder: Path) -> None:
    co = _co([_member(toy_folder, 1), _member(toy_folder, 2)])
    found = co.learn(0, *_batch())
    assert found["co_reward/disagreement"] > 0
    one, two = (m.model.get_input_embeddings().weight for m in co.members)
    assert not torch.equal(one, two)


def test_old_comparisons_come_again_and_the_oldest_are_forgotten(toy_folder: Path) -> None:
    old = [Comparison(Prompt.of(f"old {i}"), Response.of("x"), Response.of("y")) for i in range(20)]
    co = _co([_member(toy_folder)], old, replay=0.25, remember=10)
    assert [c.prompt.text for c in co.memory] == [f"old {i}" for i in range(10, 20)]
    fresh = [Comparison(Prompt.of("new"), Response.of("x"), Response.of("y"))] * 3
    batches = list(co._batches(fresh, random.Random(0)))
    assert len(batches) == 6
    assert all([c.prompt.text == "new" for c in batch].count(True) == 6 for batch in batches)
    replayed = [c.prompt.text for batch in batches for c in batch if c.prompt.text != "new"]
    assert len(set(replayed[:10])) == 10, "none comes again before all came"
    co.learn(0, *_batch())
    assert len(co.memory) == 10
    assert sum(c.prompt.text.startswith("moon") for c in co.memory) == 8


def test_what_it_holds_goes_on_as_if_it_had_never_stopped(toy_folder: Path) -> None:
    whole = _co([_member(toy_folder, 1), _member(toy_folder, 2)])
    whole.learn(0, *_batch())
    state, tensors = json.loads(json.dumps(whole.state())), {k: v.clone() for k, v in whole.tensors().items()}
    last = whole.learn(1, *_batch())
    other = _co([_member(toy_folder, 3), _member(toy_folder, 4)])
    other.learn(0, *_batch(("bad good cat", "bad")))
    other.restore(state, tensors)
    assert other.learn(1, *_batch()) == last
    assert all(torch.equal(a, b) for a, b in zip(whole.tensors().values(), other.tensors().values(), strict=True))


def test_only_reward_models_can_be_trained(toy_folder: Path) -> None:
    with pytest.raises(RecipeError, match="none of the rewards is a reward model"):
        trainable([("most_good", 1.0, most_good)])
    member = _member(toy_folder)
    assert trainable([("most_good", 1.0, most_good), ("model", 0.5, member)]) == [member]
    mean = RewardModel.of(member.model, member.tokenizer, reading="mean")
    with pytest.raises(RecipeError, match="read at its last token"):
        trainable([("model", 1.0, mean)])


# ---- whole runs ----


@pytest.fixture(scope="module")
def reward_folders(toy_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    """Two reward models that know nothing yet."""
    folders = [tmp_path_factory.mktemp("rewards") / str(seed) for seed in (1, 2)]
    for seed, folder in enumerate(folders, 1):
        _member(toy_folder, seed).save(folder)
    return [str(folder) for folder in folders]


def _recipe(model: Path, data: Path, rewards: list[Any], **more: Any) -> recipe.Recipe:
    where = {"model.path": str(model), "data.train": str(data), "rewards": rewards, "max_new_tokens": 6}
    small = {"group_size": 4, "prompts_per_step": 8, "update.learning_rate": 1e-3, "save_every": 2}
    ask = {"reward_updates.ask": ["low_half"], "every": 2, "comparisons": 8, "updates": 2, "rate": 3e-3}
    return recipe.load("co_reward", where | small | ask | {"update.steps": 4} | more)


def test_the_reward_follows_the_policy_and_is_kept(
    toy_folder: Path, prompts: Path, reward_folders: list[str], tmp_path: Path
) -> None:
    ensemble = {"ensemble": {"paths": reward_folders, "how": "uncertainty"}}
    train(_recipe(toy_folder, prompts, [ensemble]), tmp_path / "run")
    record = read_record(tmp_path / "run")
    assert ["co_reward/accuracy" in line for line in record] == [False, True] * 2
    assert record[1]["co_reward/disagreement"] > 0
    for number in (1, 2):
        kept = tmp_path / "run" / f"reward_model_{number}"
        assert load_reward_model(kept).config.num_labels == 1
        before, after = (load_file(Path(f) / "model.safetensors") for f in (reward_folders[number - 1], kept))
        assert not all(torch.equal(before[n], after[n]) for n in before)


def test_a_run_that_was_cut_ends_bit_for_bit_as_one_that_was_not(
    toy_folder: Path, prompts: Path, reward_folders: list[str], tmp_path: Path
) -> None:
    made = _recipe(toy_folder, prompts, [{"model": {"path": reward_folders[0]}}])
    train(made, tmp_path / "whole")

    class Cut(Exception):
        pass

    def cut(step: Any) -> None:
        if step.number == 3:
            raise Cut

    with pytest.raises(Cut):
        train(made, tmp_path / "cut", watch=cut)
    assert (tmp_path / "cut/checkpoints/step-00000002/experience.safetensors").exists()
    train(made, tmp_path / "cut", resume=True)
    for part in ("model", "reward_model"):
        whole, resumed = (load_file(tmp_path / run / part / "model.safetensors") for run in ("whole", "cut"))
        assert all(torch.equal(whole[n], resumed[n]) for n in whole), part


@pytest.mark.parametrize(
    ("more", "words"),
    [({"reward_updates.ask": []}, "asks nobody"), ({"rollouts": None}, "reward_updates and an advantage need")],
)
def test_what_cannot_mean_anything_is_refused(more: dict[str, Any], words: str, tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match=words):
        check(_recipe(tmp_path, tmp_path, ["low_half"], **more))


def test_an_ensembles_members_are_all_taught(reward_folders: list[str]) -> None:
    ensemble = Ensemble(paths=reward_folders, how="worst")
    assert trainable([("ensemble", 1.0, ensemble)]) == ensemble.members
