"""Reinforcement learning as a whole: small runs of the recipes, and what must hold in them."""

from __future__ import annotations

import json
import shutil
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from truing import recipe, registry
from truing.batch import Batch
from truing.experience.online import Online
from truing.models.loading import load_causal_lm
from truing.models.values import ValueModel
from truing.record import read_record
from truing.train import train
from truing.update import optimizer_for
from truing.wire import Run, wire

SMALL = {
    "group_size": 2, "prompts_per_step": 4, "max_new_tokens": 6, "update.learning_rate": 1e-3, "steps": 4,
    "save_every": 2, "temperature": 0.7, "validation_share": 0.0,
}  # fmt: skip


@registry.reward
def vowels(prompts: object, completions: list[str], **columns: object) -> list[float]:
    """The share of vowels."""
    return [sum(c in "aeiou" for c in text) / max(1, len(text)) for text in completions]


def chosen(name: str, folder: Path, prompts: Path, **more: Any) -> recipe.Recipe:
    settings = {"model.path": str(folder), "data.train": str(prompts), "rewards": ["vowels"], **SMALL, **more}
    return recipe.load(name, settings)


def weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model" / "model.safetensors")


class Cut(Exception):
    pass


@pytest.mark.parametrize("lora", [False, True], ids=["full", "lora"])
@pytest.mark.parametrize("own", [False, True], ids=["head", "own backbone"])
def test_ppo_that_was_cut_ends_as_one_that_was_not(
    own: bool, lora: bool, toy_folder: Path, prompts: Path, tmp_path: Path
) -> None:
    more: dict[str, Any] = {"passes": 2, "minibatches": 2, "reward_kl.target": 0.5, "reward_kl.horizon": 50}
    more |= {"critic.path": str(toy_folder)} if own else {}
    more |= {"model.lora": {"r": 2}} if lora else {}
    run = chosen("ppo", toy_folder, prompts, **more)
    train(run, tmp_path / "whole")

    def cut(step: object) -> None:
        if step.number == 3:  # type: ignore[attr-defined]
            raise Cut

    with pytest.raises(Cut):
        train(run, tmp_path / "cut", watch=cut)
    resumed: list[int] = []
    train(run, tmp_path / "cut", resume=True, watch=lambda step: resumed.append(step.number))
    assert resumed == [3, 4]
    whole, other = weights(tmp_path / "whole"), weights(tmp_path / "cut")
    assert all(torch.equal(whole[n], other[n]) for n in whole)
    start = load_file(toy_folder / "model.safetensors")
    assert any(not torch.equal(whole[n], start[n]) for n in start)
    record, again = read_record(tmp_path / "whole"), read_record(tmp_path / "cut")
    keys = {"loss", "value/error", "value/explained_variance", "kl/coefficient", "kl/sequence", "reward"}
    keys |= {"grad_norm/value"} if own else set()
    assert keys <= record[0].keys()
    for name in keys:  # the value model and the coefficient go on where they were, too
        assert [line.get(name) for line in record] == [line.get(name) for line in again], name
    assert len({line["kl/coefficient"] for line in record}) == 4, "it follows the KL"


@pytest.mark.parametrize("name", ["ppo", "reinforce_pp", "dapo", "gspo", "cispo", "grpo"])
def test_the_first_ratio_of_every_batch_is_one_when_it_is_used_several_times(
    name: str, toy_folder: Path, prompts: Path, tmp_path: Path
) -> None:
    train(chosen(name, toy_folder, prompts, passes=2, minibatches=2, steps=2), tmp_path / "run")
    for line in read_record(tmp_path / "run"):
        assert line["ratio/first_error"] < 1e-6
        assert line["sampling/largest"] < 1e-4, "sampler and trainer agree at temperature 0.7"
        assert line["sampling/effective"] > 0.999


@pytest.mark.parametrize("name", ["remax", "reinforce", "online_dpo"])
def test_recipes_that_use_a_batch_once_run(name: str, toy_folder: Path, prompts: Path, tmp_path: Path) -> None:
    train(chosen(name, toy_folder, prompts, steps=2), tmp_path / "run")
    record = read_record(tmp_path / "run")
    assert len(record) == 2
    assert all(torch.isfinite(torch.tensor(line["loss"])) for line in record)


def wired(folder: Path, prompts: Path, name: str = "ppo", **more: Any) -> Run:
    return wire(chosen(name, folder, prompts, **more))


def test_policy_reference_and_sampler_divide_their_logits_by_the_same_temperature(
    toy_folder: Path, prompts: Path
) -> None:
    run = wired(toy_folder, prompts)
    batch = run.experience.batch(0)
    said = run.updater.assess(batch.trees, {"logprobs", "ref_logprobs"})
    plain = load_causal_lm(str(toy_folder))
    for tree, rows, reference in zip(batch.trees, said["logprobs"], said["ref_logprobs"], strict=True):
        for branch, row, other in zip(tree.branches, rows, reference, strict=True):
            logits = plain(torch.tensor([[*tree.prompt, *branch.tokens]])).logits[0, len(tree.prompt) - 1 : -1]
            expected = (logits / 0.7).log_softmax(-1)[torch.arange(len(branch.tokens)), branch.tokens].tolist()
            for found in (row, other, branch.logprobs):
                assert found == pytest.approx(expected, abs=1e-4)


def test_old_logprobs_of_the_first_pass_are_those_that_were_asked_for_before(toy_folder: Path, prompts: Path) -> None:
    ended = []
    for whole in (False, True):
        run = wired(toy_folder, prompts, "grpo", passes=3, minibatches=1, tokens_per_batch=60, learning_rate=1e-2)
        assert isinstance(run.experience, Online)
        assert run.experience.whole
        run.experience.whole = whole  # False: ask before the update, as where there are minibatches
        batch = run.experience.batch(0)
        assert ("old_logprobs" in batch.trees[0].feedback) is not whole
        metrics = run.updater.step(batch, 0)
        assert metrics["clip_ratio/region"] > 0, "later passes are measured against the first"
        ended.append((metrics["loss"], [p.detach().clone() for p in run.policy.trained.parameters()]))
    (asked, before), (by_the_way, after) = ended
    assert by_the_way == asked
    assert all(torch.equal(a, b) for a, b in zip(before, after, strict=True))


def test_the_reference_is_run_once_for_all_passes_over_a_batch(toy_folder: Path, prompts: Path) -> None:
    run = wired(toy_folder, prompts, "grpo", passes=3, minibatches=1, tokens_per_batch=10_000)
    assert run.policy.reference is not None
    run.updater.step(run.experience.batch(0), 0)  # checks of attention and head are behind us
    batch = run.experience.batch(1)
    for tree in batch.trees:
        del tree.feedback["ref_logprobs"]  # as of a batch that came from files: nobody was asked before
    asked: list[int] = []
    run.policy.reference.model.get_decoder().register_forward_hook(lambda *_: asked.append(1))
    run.updater.step(batch, 1)
    assert len(asked) == 1


@pytest.mark.parametrize("own", [False, True], ids=["head", "own backbone"])
def test_a_ppo_step_does_not_depend_on_the_token_budget(own: bool, toy_folder: Path, prompts: Path) -> None:
    made = []
    more = {"critic.path": str(toy_folder)} if own else {}
    for budget in (30, 10_000):
        run = wired(toy_folder, prompts, tokens_per_batch=budget, passes=1, max_grad_norm=1e9, **more)
        # SGD: Adam divides by the gradient's size and would hide a wrong divisor.
        run.updater.optimizer = torch.optim.SGD(run.policy.trained.parameters(), lr=1.0)  # type: ignore[assignment]
        metrics = run.updater.step(run.experience.batch(0), 0)
        made.append((metrics, {n: p.detach().clone() for n, p in run.policy.trained.named_parameters()}))
    (parts, moved), (whole, expected) = made
    for name in ("loss", "loss/ppo_clip", "loss/value"):
        assert parts[name] == pytest.approx(whole[name], rel=1e-4, abs=1e-6)
    for name, weight in expected.items():
        torch.testing.assert_close(moved[name], weight, atol=5e-6, rtol=1e-4)


def test_the_value_has_a_learning_rate_of_its_own(toy_folder: Path, prompts: Path) -> None:
    for more in ({}, {"critic.path": str(toy_folder)}):
        run = wired(toy_folder, prompts, **more, **{"critic.lr_multiplier": 7.0})
        run.updater.step(run.experience.batch(0), 0)
        assert run.policy.value is not None
        values = {id(p) for p in run.policy.value.parameters()}
        for group in run.updater.optimizer.param_groups:
            shares = {id(p) in values for p in group["params"]}
            assert len(shares) == 1, "no group mixes policy and value"
            assert group["lr"] == pytest.approx(1e-3 * (7.0 if shares == {True} else 1.0))
        assert all(id(p) in {id(q) for g in run.updater.optimizer.param_groups for q in g["params"]}
                   for p in run.policy.trained.parameters() if p.requires_grad)  # fmt: skip


def test_the_optimizer_decays_matrices_and_takes_adams_epsilon_from_the_recipe(toy_folder: Path, prompts: Path) -> None:
    run = wired(toy_folder, prompts)
    assert {group["eps"] for group in run.updater.optimizer.param_groups} == {1e-5}
    settings = run.recipe.update.model_copy(update={"weight_decay": 0.1})
    optimizer = optimizer_for(run.policy.model, settings, run.policy.value)
    for group in optimizer.param_groups:
        assert group["weight_decay"] == (0.1 if group["params"][0].ndim >= 2 else 0.0)


def test_an_own_value_model_is_clipped_apart_and_shares_nothing_with_the_policy(
    toy_folder: Path, prompts: Path
) -> None:
    run = wired(toy_folder, prompts, **{"critic.path": str(toy_folder)})
    assert isinstance(run.policy.value, ValueModel)
    policy = {p.data_ptr() for p in run.policy.model.parameters()}
    assert policy.isdisjoint(p.data_ptr() for p in run.policy.value.parameters())
    metrics = run.updater.step(run.experience.batch(0), 0)
    assert metrics["grad_norm"] > 0
    assert metrics["grad_norm/value"] > 0


def test_dropout_is_off_in_policy_reference_and_value(toy_folder: Path, prompts: Path, tmp_path: Path) -> None:
    folder = tmp_path / "dropping"
    shutil.copytree(toy_folder, folder)
    config = json.loads((folder / "config.json").read_text())
    (folder / "config.json").write_text(json.dumps(config | {"attention_dropout": 0.5}))
    run = wired(folder, prompts, **{"critic.path": str(folder)})
    run.policy.trained.train()
    reads, trees = {"logprobs", "ref_logprobs", "values"}, run.experience.batch(0).trees
    with torch.no_grad():
        run.policy.trained["value"].head.linear.weight.fill_(0.5)  # type: ignore[index]
    once, twice = (run.updater.assess(trees, reads) for _ in range(2))
    assert once == twice
    for row, branch in zip(once["logprobs"][0], trees[0].branches, strict=True):
        assert row == pytest.approx(branch.logprobs, abs=1e-4), "as it was sampled"


def test_minibatches_are_a_fresh_permutation_in_every_pass(toy_folder: Path, prompts: Path) -> None:
    run = wired(toy_folder, prompts, passes=3, minibatches=2, prompts_per_step=8)
    trees = run.experience.batch(0).trees
    parts = [[id(t) for t in part] for part in run.updater._minibatches(Batch(trees), 0)]
    assert len(parts) == 6
    passes = [parts[i] + parts[i + 1] for i in (0, 2, 4)]
    for one in passes:
        assert sorted(one) == sorted(map(id, trees)), "each tree once in every pass"
    assert len({tuple(one) for one in passes}) == 3
