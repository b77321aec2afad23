from __future__ import annotations

from pathlib import Path

import pytest
import torch

from truing import registry
from truing.bind import bind
from truing.models.adapters import reference
from truing.models.loading import load_causal_lm
from truing.models.policy import Policy
from truing.recipe import Named, UpdateSettings
from truing.reduce import Term
from truing.registry import Registry
from truing.statistics import STATISTICS, at_same_place, masked_mean, mismatched
from truing.streams import STREAMS
from truing.tree import Branch, Tree
from truing.update import Loss, Updater


def _tree(prompt: list[int], *responses: list[int], **feedback: object) -> Tree:
    return Tree(prompt, [Branch(r, [True] * len(r)) for r in responses], feedback)


def test_every_prompt_meets_the_first_response_of_the_next() -> None:
    made = mismatched([_tree([1], [10], [11]), _tree([2], [20]), _tree([3], [30])])
    assert [(t.prompt, [b.tokens for b in t.branches]) for t in made] == [([1], [[20]]), ([2], [[30]]), ([3], [[10]])]
    assert mismatched([_tree([1], [10])]) == []


def test_a_statistic_is_one_number_or_one_for_each_pair() -> None:
    assert {name for name, stream in STREAMS.items() if stream.maker == "statistics"} == STATISTICS.keys()
    assert {STREAMS[name].shape for name in STATISTICS} == {"", "pairs"}


def test_the_mean_of_nothing_is_0() -> None:
    values, mask = torch.tensor([1.0, float("nan"), 4.0]), torch.tensor([True, False, True])
    assert masked_mean(values, mask) == 2.5
    assert masked_mean(values, mask & ~mask) == 0


def test_the_smallest_meets_the_smallest_and_the_largest_the_largest() -> None:
    own, others = torch.tensor([3.0, 1.0, 2.0, -5.0]), torch.tensor([10.0, 40.0, 20.0, 30.0])
    assert at_same_place(own, others).tolist() == [40.0, 20.0, 30.0, 10.0]
    assert at_same_place(own, own).tolist() == own.tolist()
    assert at_same_place(own[:0], own[:0]).shape == (0,)


def test_quantiles_of_pairs_by_hand() -> None:
    # Two tokens a row, the last one masked in the third row. Σ log π: -3, -1, -2, -6; Σ log π_ref: -2, -4, -1, -1.
    streams = {
        "logprobs": torch.tensor([[-1.0, -2.0], [-0.5, -0.5], [-2.0, -9.0], [-3.0, -3.0]]),
        "ref_logprobs": torch.tensor([[-1.0, -1.0], [-2.0, -2.0], [-1.0, -9.0], [-0.5, -0.5]]),
        "mask": torch.tensor([[True, True], [True, True], [True, False], [True, True]]),
        "chosen": torch.tensor([0, 2]),
        "rejected": torch.tensor([1, 3]),
    }

    def made(name: str) -> list[float]:
        found: list[float] = STATISTICS[name].whole(*STATISTICS[name].entries(streams)).tolist()
        return found

    # margins: -2 and 4 under the policy, 2 and 0 under the reference: the first is the smallest and meets 0
    assert made("reference_quantile") == [0.0, 2.0]
    # log-ratios: -1 and -1 (a tie: the first is first) chosen, 3 and -5 rejected
    assert made("rejected_quantile") == [-5.0, 3.0]
    assert made("chosen_quantile") == [-1.0, -1.0]


@pytest.mark.parametrize("name", sorted(name for name in STATISTICS if STREAMS[name].shape == ""))
def test_every_micro_batch_reads_the_number_of_the_whole_batch(toy_folder: Path, name: str) -> None:
    seen: list[float] = []
    objectives = Registry("objective", "truing.objectives", streams=True)

    def spy(logprobs: torch.Tensor, mask: torch.Tensor, statistic: torch.Tensor) -> Term:
        seen.append(float(statistic))
        return Term(-logprobs, mask)

    code = f"def spying(logprobs, mask, {name}): return spy(logprobs, mask, {name})"
    scope: dict[str, object] = {"spy": spy}
    exec(code, scope)
    objectives.register(scope["spying"])  # type: ignore[type-var]

    model = load_causal_lm(toy_folder)
    policy = Policy(model, reference=reference(model))
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.mul_(1.1)
    trees = [
        _tree([1, 9], [10, 11], [12], labels=[1, 0]),
        _tree([1, 8, 7], [20], labels=[1]),
        _tree([1, 30], [31, 32, 33], labels=[0]),
    ]
    numbers = []
    for budget in (1, 10_000):
        seen.clear()
        loss = Loss([bind(objectives, Named(name="spying"))], "token")
        settings = UpdateSettings(tokens_per_batch=budget, learning_rate=1e-9)
        Updater(policy, loss, settings, steps=1, seed=0).evaluate(trees)
        made = [number for number in seen if number != 0.0]  # the counts are asked for on zeros
        assert len(set(made)) == 1
        numbers.append(made[0])
    assert numbers[0] == pytest.approx(numbers[1], rel=1e-4)


@pytest.mark.parametrize("name", sorted(name for name in STATISTICS if STREAMS[name].shape == "pairs"))
def test_every_pair_reads_its_own_number_of_the_whole_batch(toy_folder: Path, name: str) -> None:
    model = load_causal_lm(toy_folder)
    policy = Policy(model, reference=reference(model))
    draw = torch.Generator().manual_seed(0)
    with torch.no_grad():
        for parameter in model.parameters():
            parameter.add_(0.05 * torch.randn(parameter.shape, generator=draw))
    trees = [_tree([1, 9 + i], [10 + i, 11], [30 - 2 * i], [40 + i], pairs=[(0, 1), (2, 0)]) for i in range(4)]
    trees.insert(2, _tree([1, 3], [4], pairs=[]))  # nothing to compare
    objective = "aot" if name == "reference_quantile" else "aot_unpaired"
    loss = Loss([bind(registry.objective, Named(name=objective))], "group")
    found = []
    for budget in (1, 14, 10_000):
        settings = UpdateSettings(tokens_per_batch=budget)
        updater = Updater(policy, loss, settings, steps=1, seed=0)
        parts = updater._parts(trees)
        updater._add_statistics(trees, parts)
        by_pair: dict[tuple[int, ...], float] = {}
        for packed, data in parts:
            assert len(data[name]) == len(data["chosen"])
            assert "ref_logprobs" in data, "made once"
            targets = data["mask"].new_zeros(packed.shape, dtype=torch.long).index_put(packed.index, packed.targets)
            for c, r, value in zip(data["chosen"], data["rejected"], data[name].tolist(), strict=True):
                by_pair[(*targets[c].tolist(), -1, *targets[r].tolist())] = value
        assert len(by_pair) == 8
        found.append({tuple(t for t in key if t != 0): value for key, value in by_pair.items()})
    assert found[1] == pytest.approx(found[0], abs=1e-4)
    assert found[2] == pytest.approx(found[0], abs=1e-4)
    assert len(set(found[2].values())) >= 7, "different for every pair"
