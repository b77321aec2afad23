from __future__ import annotations

from pathlib import Path

import pytest
import torch

from truing.bind import bind
from truing.models.adapters import reference
from truing.models.loading import load_causal_lm
from truing.models.policy import Policy
from truing.recipe import Named, UpdateSettings
from truing.reduce import Term
from truing.registry import Registry
from truing.statistics import STATISTICS, mismatched
from truing.streams import STREAMS
from truing.tree import Branch, Tree
from truing.update import Loss, Updater


def _tree(prompt: list[int], *responses: list[int], **feedback: object) -> Tree:
    return Tree(prompt, [Branch(r, [True] * len(r)) for r in responses], feedback)


def test_every_prompt_meets_the_first_response_of_the_next() -> None:
    made = mismatched([_tree([1], [10], [11]), _tree([2], [20]), _tree([3], [30])])
    assert [(t.prompt, [b.tokens for b in t.branches]) for t in made] == [([1], [[20]]), ([2], [[30]]), ([3], [[10]])]
    assert mismatched([_tree([1], [10])]) == []


def test_a_statistic_is_a_stream_of_no_axis() -> None:
    assert {name for name, stream in STREAMS.items() if stream.maker == "statistics"} == STATISTICS.keys()
    assert all(STREAMS[name].shape == "" for name in STATISTICS)


@pytest.mark.parametrize("name", sorted(STATISTICS))
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
