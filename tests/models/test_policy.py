from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch

from truing.models.adapters import reference, with_lora
from truing.models.heads import reward_model_from
from truing.models.policy import Policy
from truing.tree import pack


def test_log_probabilities_are_those_of_the_plain_model(toy: SimpleNamespace) -> None:
    model, trees = toy.model("llama"), toy.trees()
    packed = pack(trees)
    streams = Policy(model).streams(packed, {"logprobs"}, {})
    assert streams.keys() == {"logprobs"}, "only what somebody reads is made"
    torch.testing.assert_close(streams["logprobs"], toy.plain_logprobs(model, trees), atol=1e-5, rtol=0)


def test_entropies_come_with_log_probabilities_and_a_uniform_model_has_log_of_the_vocabulary(
    toy: SimpleNamespace,
) -> None:
    model, packed = toy.model("llama"), pack(toy.trees())
    with torch.no_grad():
        model.get_output_embeddings().weight.zero_()
    streams = Policy(model).streams(packed, {"entropies", "logprobs"}, {})
    expected = torch.where(packed.mask, torch.tensor(61.0).log(), 0.0)
    torch.testing.assert_close(streams["entropies"], expected)
    torch.testing.assert_close(streams["logprobs"], -expected)


def test_temperature_divides_the_logits_of_policy_and_reference(toy: SimpleNamespace) -> None:
    model, packed = toy.model("llama"), pack(toy.trees())
    halved = toy.model("llama")
    halved.load_state_dict(model.state_dict())
    with torch.no_grad():
        halved.get_output_embeddings().weight.mul_(0.5)
    warm = Policy(model, reference=reference(model), temperature=2.0)
    streams = warm.streams(packed, {"logprobs", "ref_logprobs"}, {})
    expected = Policy(halved).streams(packed, {"logprobs"}, {})["logprobs"]
    torch.testing.assert_close(streams["logprobs"], expected, atol=1e-5, rtol=0)
    torch.testing.assert_close(streams["ref_logprobs"], expected, atol=1e-5, rtol=0)
    assert not streams["ref_logprobs"].requires_grad


@pytest.mark.parametrize("adapters", [False, True])
def test_the_reference_stays_where_the_policy_began(toy: SimpleNamespace, adapters: bool) -> None:
    model, packed = toy.model("llama"), pack(toy.trees())
    if adapters:
        model = with_lora(model, r=2)
    policy = Policy(model, reference=reference(model))
    before = policy.streams(packed, {"logprobs", "ref_logprobs"}, {})
    torch.testing.assert_close(before["logprobs"], before["ref_logprobs"], atol=1e-5, rtol=0)
    with torch.no_grad():
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.1 * torch.randn_like(parameter))
    after = policy.streams(packed, {"logprobs", "ref_logprobs"}, {})
    torch.testing.assert_close(after["ref_logprobs"], before["ref_logprobs"], atol=1e-5, rtol=0)
    assert (after["logprobs"] - before["logprobs"]).abs().max() > 1e-3


def test_given_reference_log_probabilities_are_not_made_again(toy: SimpleNamespace) -> None:
    packed = pack(toy.trees())
    given = torch.full(packed.mask.shape, -3.0)
    streams = Policy(toy.model("llama")).streams(packed, {"ref_logprobs"}, {"ref_logprobs": given})
    assert streams["ref_logprobs"] is given


def test_a_reward_is_read_at_the_last_token_and_does_not_depend_on_the_neighbours(toy: SimpleNamespace) -> None:
    trees = toy.trees()
    policy = Policy(reward_model_from(toy.model("llama")))
    together = policy.score(trees, 10_000)
    alone = policy.score(trees, 1)
    assert [len(row) for row in together] == [len(t.branches) for t in trees]
    for a, b in zip(together, alone, strict=True):
        assert a == pytest.approx(b, abs=1e-5)
    assert policy.streams(pack(trees), {"rewards"}, {})["rewards"].requires_grad


def test_a_token_reward_at_the_last_token_is_the_reward_and_the_prompt_has_none(toy: SimpleNamespace) -> None:
    policy, packed = Policy(reward_model_from(toy.model("llama"))), pack(toy.trees())
    streams = policy.streams(packed, {"rewards", "token_rewards"}, {})
    every, ends = policy.token_rewards(packed), streams["rewards"]
    torch.testing.assert_close(every[packed.ends], ends)
    found = streams["token_rewards"]
    assert found.requires_grad
    assert (found[~packed.mask] == 0).all()
    starts = [first for span in packed.layout for first, _ in span.branches]
    for row, column in zip(*(index.tolist() for index in packed.index), strict=True):
        assert found[row, column] == every[starts[row] + column]


def test_token_scores_of_a_tree_do_not_depend_on_its_neighbours_and_are_pooled_under_the_mask(
    toy: SimpleNamespace,
) -> None:
    trees = toy.trees()
    policy = Policy(reward_model_from(toy.model("llama")))
    together, alone = policy.score_tokens(trees, 10_000), policy.score_tokens(trees, 1)
    means, sums = (policy.score(trees, 10_000, reading) for reading in ("mean", "sum"))  # type: ignore[arg-type]
    for i, tree in enumerate(trees):
        for k, branch in enumerate(tree.branches):
            assert together[i][k] == pytest.approx(alone[i][k], abs=1e-5)
            assert len(together[i][k]) == len(branch.tokens)
            kept = [v for v, trained in zip(together[i][k], branch.mask, strict=True) if trained]
            assert sums[i][k] == pytest.approx(sum(kept), abs=1e-5)
            assert means[i][k] == pytest.approx(sum(kept) / max(1, len(kept)), abs=1e-5)


@pytest.mark.parametrize("adapters", [None, ["q_proj", "v_proj"], ["q_proj", "lm_head"]])
def test_the_kl_from_the_reference_is_that_of_full_distributions(
    toy: SimpleNamespace, adapters: list[str] | None
) -> None:
    model, packed = toy.model("llama"), pack(toy.trees())
    if adapters:
        model = with_lora(model, r=2, target_modules=adapters)
    policy = Policy(model, reference=reference(model), temperature=1.5)
    begun = policy.streams(packed, {"ref_kl"}, {})
    assert begun.keys() == {"ref_kl"}, "only what somebody reads is made"
    torch.testing.assert_close(begun["ref_kl"], torch.zeros(packed.mask.shape), atol=1e-5, rtol=0)

    def logs() -> torch.Tensor:
        hidden = policy._runner(packed)[packed.predictors]
        logits = model.get_output_embeddings()(hidden)
        return (logits / 1.5).log_softmax(-1)

    with torch.no_grad():
        before = logs()
        for parameter in model.parameters():
            if parameter.requires_grad:
                parameter.add_(0.1 * torch.randn_like(parameter))
    streams = policy.streams(packed, {"ref_kl", "ref_logprobs", "logprobs"}, {})
    expected = (before.exp() * (before - logs())).sum(-1)
    torch.testing.assert_close(streams["ref_kl"], packed.scatter(expected), atol=1e-4, rtol=1e-4)
    assert streams["ref_kl"].max() > 0.01
    at_target = before.gather(1, packed.targets[:, None]).squeeze(1)
    torch.testing.assert_close(streams["ref_logprobs"], packed.scatter(at_target), atol=1e-4, rtol=0)

    trained = [p for p in model.parameters() if p.requires_grad]
    ours = torch.autograd.grad(streams["ref_kl"].sum(), trained, allow_unused=True)
    theirs = torch.autograd.grad(expected.sum(), trained, allow_unused=True)
    for a, b in zip(ours, theirs, strict=True):
        assert (a is None) == (b is None)
        if a is not None:
            torch.testing.assert_close(a, b, atol=1e-3, rtol=1e-3)


def test_collisions_are_made_of_the_policys_whole_distribution_and_carry_no_gradient(toy: SimpleNamespace) -> None:
    model, packed = toy.model("llama"), pack(toy.trees())
    policy = Policy(model, temperature=0.5)
    streams = policy.streams(packed, {"collision_logprobs"}, {})
    logits = model.get_output_embeddings()(policy._runner(packed)[packed.predictors])
    expected = (logits / 0.5).softmax(-1).square().sum(-1).log()
    torch.testing.assert_close(streams["collision_logprobs"], packed.scatter(expected.detach()), atol=1e-5, rtol=1e-5)
    assert not streams["collision_logprobs"].requires_grad
