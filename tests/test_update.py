from __future__ import annotations

from math import log
from pathlib import Path

import pytest
import torch

from truing.batch import Batch
from truing.bind import bind
from truing.errors import TrainingError
from truing.models.adapters import reference
from truing.models.loading import load_causal_lm
from truing.models.policy import Policy
from truing.recipe import Named, UpdateSettings
from truing.registry import objective
from truing.tree import Branch, Tree
from truing.update import Loss, Updater, learning_rate


def _tree(seed: int, *lengths: int) -> Tree:
    drawn = torch.Generator().manual_seed(seed)

    def tokens(number: int) -> list[int]:
        return torch.randint(5, 320, (number,), generator=drawn).tolist()

    branches = [Branch(tokens(n), [True] * n) for n in lengths]
    pairs = [(i, i + 1) for i in range(len(lengths) - 1)]
    return Tree(tokens(3 + seed), branches, {"pairs": pairs})


TREES = [_tree(1, 4, 6), _tree(2, 9, 2, 5), _tree(3, 1, 3), _tree(4, 7, 7)]


def _updater(folder: Path, *terms: Named, reduction: str = "token", **settings: object) -> Updater:
    model = load_causal_lm(folder)
    loss = Loss([bind(objective, term) for term in terms], reduction)
    policy = Policy(model, reference=reference(model) if "ref_logprobs" in loss.reads else None)
    return Updater(policy, loss, UpdateSettings.model_validate(settings), steps=10, seed=0)


def _weights(updater: Updater) -> dict[str, torch.Tensor]:
    return {name: p.detach().clone() for name, p in updater.policy.model.named_parameters()}


SFT = Named(name="sft")
DPO = Named(name="dpo")


@pytest.mark.parametrize("reduction", ["token", "sequence", "group", "constant"])
@pytest.mark.parametrize("terms", [(SFT,), (DPO,), (DPO, Named(name="sft", weight=0.5))])
def test_the_step_does_not_depend_on_the_token_budget(
    toy_folder: Path, terms: tuple[Named, ...], reduction: str
) -> None:
    made = []
    for budget in (10, 45, 10_000):
        # One step of SGD: Adam divides by the gradient's size and would hide a wrong divisor.
        updater = _updater(toy_folder, *terms, reduction=reduction, tokens_per_batch=budget, max_grad_norm=1e9)
        updater.optimizer = torch.optim.SGD(updater.policy.model.parameters(), lr=1.0)  # type: ignore[assignment]
        metrics = updater.step(Batch(TREES), 0)
        made.append((metrics, _weights(updater)))
    whole, weights = made[-1]
    for metrics, others in made[:-1]:
        assert metrics["loss"] == pytest.approx(whole["loss"], rel=1e-5)
        for name, weight in weights.items():
            torch.testing.assert_close(others[name], weight, atol=2e-6, rtol=1e-4)


def test_dpo_begins_at_log_2_because_the_policy_is_the_reference(toy_folder: Path) -> None:
    metrics = _updater(toy_folder, DPO, reduction="sequence").step(Batch(TREES), 0)
    assert metrics["loss"] == pytest.approx(log(2), abs=1e-6)
    assert metrics["rewards/margins"] == pytest.approx(0, abs=1e-6)


def test_terms_are_logged_apart_and_added_by_weight(toy_folder: Path) -> None:
    metrics = _updater(toy_folder, DPO, Named(name="sft", weight=0.5)).step(Batch(TREES), 0)
    assert metrics["loss"] == pytest.approx(metrics["loss/dpo"] + 0.5 * metrics["loss/sft"])
    assert metrics["loss/sft"] == pytest.approx(metrics["nll"])


def test_training_on_the_same_batch_lowers_its_loss(toy_folder: Path) -> None:
    updater = _updater(toy_folder, SFT, learning_rate=1e-2)
    losses = [updater.step(Batch(TREES), step)["loss"] for step in range(8)]
    assert losses[-1] < losses[0] - 1
    assert updater.evaluate(TREES)["loss"] < losses[0] - 1


def test_a_loss_that_is_not_finite_stops_before_the_weights_change(toy_folder: Path) -> None:
    updater = _updater(toy_folder, SFT)
    updater.step(Batch(TREES), 0)
    with torch.no_grad():
        next(updater.policy.model.parameters())[7] = float("nan")
    before = _weights(updater)
    tree = Tree([1, 7], [Branch([8, 9], [True, True])])
    with pytest.raises(TrainingError, match=r"step 3: the loss is nan .* left as they were\n  A lower"):
        updater.step(Batch([tree]), 2)
    after = _weights(updater)
    assert all(torch.equal(before[n].nan_to_num(), after[n].nan_to_num()) for n in before)


def test_passes_and_minibatches_make_their_number_of_optimizer_steps(toy_folder: Path) -> None:
    updater = _updater(toy_folder, SFT, passes=3, minibatches=2)
    updater.step(Batch(TREES), 0)
    counters = {int(state["step"]) for state in updater.optimizer.state.values()}
    assert counters == {6}


def test_the_schedules_rise_and_fall_as_they_should() -> None:
    settings = UpdateSettings(learning_rate=1.0, warmup=0.2, schedule="linear", final_share=0.0)
    assert [learning_rate(s, 10, settings) for s in (0, 1, 2, 6)] == pytest.approx([0.5, 1.0, 1.0, 0.5])
    cosine = UpdateSettings(learning_rate=2.0, warmup=0.0, schedule="cosine", final_share=0.1)
    assert learning_rate(5, 10, cosine) == pytest.approx(2 * (0.1 + 0.9 * 0.5))
    constant = UpdateSettings(learning_rate=3.0, warmup=0.0, schedule="constant")
    assert {learning_rate(s, 10, constant) for s in range(10)} == {3.0}


def _drifted(folder: Path, name: str, budget: int) -> Updater:
    """A policy that has left its reference, about to take one step of SGD."""
    settings = {"learning_rate": 1.0, "warmup": 0.0, "schedule": "constant", "max_grad_norm": 1e9}
    updater = _updater(folder, Named(name=name), reduction="sequence", tokens_per_batch=budget, **settings)
    draw = torch.Generator().manual_seed(1)
    with torch.no_grad():
        for parameter in updater.policy.model.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=draw))
    group = {"params": list(updater.policy.model.parameters()), "share": 1.0}
    updater.optimizer = torch.optim.SGD([group], lr=1.0)  # type: ignore[assignment]
    return updater


@pytest.mark.parametrize("name", ["aot", "aot_unpaired"])
@pytest.mark.parametrize("budget", [10, 45, 10_000])
def test_a_loss_that_sorts_the_batch_has_the_gradient_of_the_whole_batch_however_it_is_cut(
    toy_folder: Path, name: str, budget: int
) -> None:
    # The loss as it is published, through torch's own sort, on all rows at once.
    whole = _drifted(toy_folder, name, 10_000)
    ((packed, data),) = whole._parts(TREES)
    streams = whole.policy.streams(packed, {"logprobs", "ref_logprobs"}, data)
    said, said_before = (streams[n].masked_fill(~streams["mask"], 0.0).sum(1) for n in ("logprobs", "ref_logprobs"))
    chosen, rejected = streams["chosen"], streams["rejected"]
    if name == "aot":
        above, below = said[chosen] - said[rejected], said_before[chosen] - said_before[rejected]
    else:
        above, below = (said - said_before)[chosen], (said - said_before)[rejected]
    margins = above.sort().values - below.sort().values
    assert not torch.equal(above.argsort(), below.argsort()), "sorting has something to do"
    expected = -torch.nn.functional.logsigmoid(0.1 * margins).mean()
    before = _weights(whole)
    expected.backward()  # type: ignore[no-untyped-call]
    gradients = {n: p.grad for n, p in whole.policy.model.named_parameters() if p.grad is not None}

    updater = _drifted(toy_folder, name, budget)
    metrics = updater.step(Batch(TREES), 0)
    assert metrics["loss"] == pytest.approx(expected.item(), rel=1e-5)
    after = _weights(updater)
    assert max(float(g.abs().max()) for g in gradients.values()) > 1e-2
    for n, gradient in gradients.items():
        torch.testing.assert_close(before[n] - after[n], gradient, atol=1e-6, rtol=1e-3)


@pytest.mark.parametrize("name", ["tdpo", "wpo"])
def test_losses_that_read_whole_distributions_learn_and_do_not_depend_on_the_token_budget(
    toy_folder: Path, name: str
) -> None:
    losses = []
    for budget in (10, 10_000):
        updater = _updater(toy_folder, Named(name=name), reduction="group", tokens_per_batch=budget, learning_rate=3e-3)
        losses.append([updater.step(Batch(TREES), step)["loss"] for step in range(4)])
    assert losses[0] == pytest.approx(losses[1], rel=1e-3)
    assert losses[0][3] < losses[0][0]
