from __future__ import annotations

import json
import shutil
from pathlib import Path

import pytest
import torch

from truing.errors import ModelError
from truing.models.adapters import with_lora
from truing.models.heads import load_reward_model, reward_model_from, value_head
from truing.models.loading import load_causal_lm
from truing.models.policy import Policy
from truing.models.values import load_value_model
from truing.tree import Branch, Tree, pack

TREES = [
    Tree([5, 6, 7], [Branch([8, 9, 10], [True] * 3), Branch([11, 12], [True, False])]),
    Tree([13], [Branch([14, 15], [True] * 2)]),
]


@pytest.fixture
def judge(toy_folder: Path, tmp_path: Path) -> Path:
    """A reward model whose scores have mean 0.3 and spread 2.5 on its data, as its folder says."""
    reward_model_from(load_causal_lm(str(toy_folder)), seed=3).save_pretrained(tmp_path / "judge")
    about = {"kind": "reward model", "reward": {"reading": "last", "mean": 0.3, "std": 2.5}}
    (tmp_path / "judge" / "truing.json").write_text(json.dumps(about))
    return tmp_path / "judge"


def test_the_first_value_is_the_normalised_score_of_what_was_said_so_far(toy_folder: Path, judge: Path) -> None:
    value = load_value_model(str(judge), dtype="float32", vocabulary=320)
    found = Policy(load_causal_lm(str(toy_folder)), value=value).assess(TREES, {"values"}, 1000)["values"]
    scores = Policy(load_reward_model(judge))
    for tree, rows in zip(TREES, found, strict=True):
        for branch, values in zip(tree.branches, rows, strict=True):
            assert len(values) == len(branch.tokens)
            for t in range(1, len(values)):
                if branch.mask[t]:
                    so_far = Tree(tree.prompt, [Branch(branch.tokens[:t], [True] * t)])
                    assert values[t] == pytest.approx((scores.score([so_far], 1000)[0][0] - 0.3) / 2.5, abs=1e-5)
                else:
                    assert values[t] == 0.0
    assert found[0][0][0] != 0.0


def test_a_language_model_begins_at_0_everywhere(toy_folder: Path) -> None:
    value = load_value_model(str(toy_folder), dtype="float32", vocabulary=320)
    assert value(pack(TREES)).tolist() == [0.0] * 6


def test_only_its_body_and_its_own_head_are_trained(toy_folder: Path, judge: Path) -> None:
    for folder in (toy_folder, judge):
        value = load_value_model(str(folder), dtype="float32", vocabulary=320)
        with torch.no_grad():
            value.head.linear.weight.add_(0.1)
        value(pack(TREES)).sum().backward()
        trained = {name for name, p in value.named_parameters() if p.requires_grad}
        assert {name for name, p in value.named_parameters() if p.grad is not None} == trained
        assert {"head.linear.weight", "head.linear.bias"} <= trained
        assert any("embed_tokens" in name for name in trained), "a head that is tied to it is not run"
        assert not any("score" in name for name in trained)


def test_a_model_of_another_vocabulary_is_refused(toy_folder: Path) -> None:
    with pytest.raises(ModelError, match="320 tokens and the policy 61"):
        load_value_model(str(toy_folder), dtype="float32", vocabulary=61)


@pytest.mark.parametrize("adapters", [False, True])
def test_a_head_reads_the_policys_state_before_each_token(toy_folder: Path, adapters: bool) -> None:
    model = load_causal_lm(str(toy_folder))
    if adapters:
        model = with_lora(model, r=2)
    head = value_head(model)
    policy = Policy(model, value=head)
    before = policy.streams(pack(TREES), {"values", "logprobs"}, {})
    assert before["values"].abs().max() == 0.0
    with torch.no_grad():
        head.linear.weight.fill_(0.5)
        head.linear.bias.fill_(-1.0)
    after = policy.streams(pack(TREES), {"values"}, {})["values"]
    plain = load_causal_lm(str(toy_folder))
    hidden = plain.model(torch.tensor([[5, 6, 7, 8, 9, 10]])).last_hidden_state[0]
    assert after[0].tolist() == pytest.approx((0.5 * hidden[2:5].sum(-1) - 1).tolist(), abs=1e-4)
    assert after.requires_grad


def test_the_temperature_is_none_of_the_values_business(toy_folder: Path) -> None:
    model = load_causal_lm(str(toy_folder))
    head = value_head(model)
    with torch.no_grad():
        head.linear.weight.fill_(0.5)
    warm, cold = (Policy(model, value=head, temperature=t).assess(TREES, {"values"}, 1000) for t in (2.0, 0.5))
    assert warm == cold


def test_what_is_assessed_does_not_depend_on_the_token_budget(toy_folder: Path) -> None:
    policy = Policy(
        load_causal_lm(str(toy_folder)), value=load_value_model(str(toy_folder), dtype="float32", vocabulary=320)
    )
    with torch.no_grad():
        policy.value.head.linear.weight.fill_(0.5)  # type: ignore[union-attr]
    whole, parts = (policy.assess(TREES, {"values", "logprobs"}, budget) for budget in (1000, 4))
    for name in whole:
        for one, other in zip(whole[name], parts[name], strict=True):
            for row, again in zip(one, other, strict=True):
                assert row == pytest.approx(again, abs=1e-5)


def test_dropout_is_off_in_a_value_model(toy_folder: Path, tmp_path: Path) -> None:
    shutil.copytree(toy_folder, tmp_path / "dropping")
    config = tmp_path / "dropping" / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"attention_dropout": 0.5}))
    value = load_value_model(str(tmp_path / "dropping"), dtype="float32", vocabulary=320)
    with torch.no_grad():
        value.head.linear.weight.fill_(0.5)
    value.train()
    assert value(pack(TREES)).tolist() == value(pack(TREES)).tolist()
