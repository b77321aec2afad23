from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext
from typing import Any

import pytest
import torch
from torch import Tensor

from truing.errors import ModelError
from truing.models.adapters import reference, with_lora
from truing.rollouts.generic import GenericEngine
from truing.rollouts.local import LocalRollouts
from truing.rollouts.rivals import MixtureEngine, RivalRollouts
from truing.rollouts.sampling import Sample, Sampling

from .conftest import PAD, STOP_IDS, build

OPTIONS: dict[str, Any] = {"stop_ids": STOP_IDS, "pad_id": PAD}
KINDS = ["llama", "gpt2"]  # the lean engine and the generic one


def two(kind: str) -> tuple[Any, Any]:
    """A policy and a reference that are different models."""
    return build(kind, 0), build(kind, 1)


def plain(model: Any, prompt: list[int], tokens: list[int]) -> Tensor:
    """[tokens, vocab]: log π before each response token by one forward pass in float64."""
    with torch.no_grad():
        logits = model.double()(input_ids=torch.tensor([prompt + tokens])).logits[0, len(prompt) - 1 : -1]
    model.float()
    return logits.log_softmax(-1)


def said(samples: list[list[Sample]]) -> list[list[tuple[list[int], bool]]]:
    return [[(s.tokens, s.finished) for s in row] for row in samples]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mixture", [0.0, 1.0])
def test_the_ends_of_the_mixture_are_exactly_the_two_models(kind: str, mixture: float, ragged: list[list[int]]) -> None:
    policy, other = two(kind)
    sampling = Sampling(max_new_tokens=9, seed=3)
    rivals = RivalRollouts(policy, reference(policy, other), mixture, **OPTIONS).generate(ragged, 3, sampling)
    alone = LocalRollouts(other if mixture else policy, **OPTIONS).generate(ragged, 3, sampling)
    assert said(rivals) == said(alone)
    assert [[s.logprobs for s in row] for row in rivals] == [[s.logprobs for s in row] for row in alone]
    assert all(s.rival for row in rivals for s in row)
    assert not any(s.rival for row in alone for s in row)


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("mixture", "temperature"), [(0.5, 1.0), (0.125, 0.7), (0.9, 1.3)])
def test_what_is_drawn_is_the_geometric_mixture_of_the_two_token_by_token(
    kind: str, mixture: float, temperature: float, ragged: list[list[int]]
) -> None:
    policy, other = two(kind)
    rollouts = RivalRollouts(policy, reference(policy, other), mixture, **OPTIONS)
    samples = rollouts.generate(ragged, 4, Sampling(max_new_tokens=8, seed=1, temperature=temperature))
    for prompt, row in zip(ragged, samples, strict=True):
        for sample in row:
            ours, theirs = plain(policy, prompt, sample.tokens), plain(other, prompt, sample.tokens)
            mixed = (((1 - mixture) * ours + mixture * theirs) / temperature).log_softmax(-1)
            expected = mixed.gather(1, torch.tensor(sample.tokens)[:, None]).squeeze(1)
            assert sample.logprobs == pytest.approx(expected.tolist(), abs=2e-3 if kind == "llama" else 5e-4)


def test_the_probabilities_of_the_mixture_are_those_of_float64(ragged: list[list[int]]) -> None:
    policy, other = two("gpt2")
    sizes = {"max_rows": 7, "longest_prompt": 30, "max_new_tokens": 2, "pad_id": PAD}
    engines = [GenericEngine(model, **sizes) for model in (policy, other)]
    engine = MixtureEngine(*engines, 0.25, nullcontext)
    groups, first = engine.prefill(ragged)
    engine.spawn(groups)
    second = engine.step(torch.full((7,), 11))
    for i, prompt in enumerate(ragged):
        ours, theirs = plain(policy, prompt, [11, 0]), plain(other, prompt, [11, 0])
        expected = (0.75 * ours + 0.25 * theirs).softmax(-1)
        found = torch.stack([first[i], second[i]]).double().softmax(-1)
        torch.testing.assert_close(found, expected, atol=2e-6, rtol=2e-4)
        assert expected.sum(-1).tolist() == pytest.approx([1.0, 1.0])


def test_draws_come_as_often_as_the_mixture_says() -> None:
    """40,000 first tokens against the probabilities: each within five standard errors."""
    policy, other = two("llama")
    number, mixture = 40_000, 0.5
    rollouts = RivalRollouts(policy, reference(policy, other), mixture, **OPTIONS, max_batch=number)
    (row,) = rollouts.generate([[5, 6, 7]], number, Sampling(max_new_tokens=1, seed=0))
    counts = torch.bincount(torch.tensor([s.tokens[0] for s in row]), minlength=300).double()
    chances = (0.5 * plain(policy, [5, 6, 7], [0]) + 0.5 * plain(other, [5, 6, 7], [0])).softmax(-1)[0]
    errors = (counts / number - chances).abs() / (chances * (1 - chances) / number).sqrt()
    assert errors[chances * number > 20].max() < 5


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("mixture", [0.5, 1.0])
def test_with_adapters_the_reference_is_the_model_without_them(
    kind: str, mixture: float, ragged: list[list[int]]
) -> None:
    base = build(kind)
    model = with_lora(build(kind), r=4)
    with torch.no_grad():
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.normal_(std=0.3)
    rollouts = RivalRollouts(model, reference(model), mixture, **OPTIONS)
    samples = rollouts.generate(ragged[:3], 2, Sampling(max_new_tokens=5, seed=2))
    for prompt, row in zip(ragged, samples, strict=False):
        for sample in row:
            mixed = (1 - mixture) * plain(model, prompt, sample.tokens) + mixture * plain(base, prompt, sample.tokens)
            expected = mixed.log_softmax(-1).gather(1, torch.tensor(sample.tokens)[:, None]).squeeze(1)
            assert sample.logprobs == pytest.approx(expected.tolist(), abs=2e-3)
    assert not any(getattr(m, "disable_adapters", False) is True for m in model.modules())


def test_training_between_two_calls_is_seen(ragged: list[list[int]]) -> None:
    policy, other = two("llama")
    rollouts = RivalRollouts(policy, reference(policy, other), 0.5, **OPTIONS)
    sampling = Sampling(max_new_tokens=6, seed=0)
    before = rollouts.generate(ragged, 1, sampling)
    with torch.no_grad():
        for parameter in policy.parameters():
            parameter.mul_(1.5)
    assert said(rollouts.generate(ragged, 1, sampling)) != said(before)


def test_few_rows_at_a_time_say_what_many_say(ragged: list[list[int]]) -> None:
    policy, other = two("gpt2")
    sampling = Sampling(max_new_tokens=6, seed=0)
    few, many = (
        RivalRollouts(policy, reference(policy, other), 0.5, **OPTIONS, max_batch=rows).generate(ragged, 3, sampling)
        for rows in (2, 21)
    )
    assert said(few) == said(many)


def test_two_vocabularies_cannot_be_mixed() -> None:
    policy, other = two("llama")
    other.resize_token_embeddings(310)
    with pytest.raises(ModelError, match="the policy has 300 tokens and the reference 310"):
        RivalRollouts(policy, reference(policy, other), 0.5, **OPTIONS).generate([[5]], 1, Sampling(max_new_tokens=2))


def test_the_way_it_ran_is_told(toy: Callable[[str], Any]) -> None:
    policy, other = two("gpt2")
    rollouts = RivalRollouts(policy, reference(policy, other), 0.5, **OPTIONS)
    rollouts.generate([[5]], 1, Sampling(max_new_tokens=2, seed=0))
    assert rollouts.engine is not None
    assert rollouts.engine.count("generic") == 2
