from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import torch

from truing.bind import bind
from truing.models.loading import load_causal_lm, load_tokenizer
from truing.models.saving import save_model
from truing.recipe import Named
from truing.registry import reward
from truing.rewards.implicit import ImplicitReward


@pytest.fixture(scope="module")
def policy(toy_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A model that has gone some way from the toy."""
    model = load_causal_lm(toy_folder)
    with torch.no_grad():
        torch.manual_seed(3)
        for parameter in model.parameters():
            if parameter.ndim == 2:
                parameter.add_(0.05 * torch.randn_like(parameter))
    folder = tmp_path_factory.mktemp("policy")
    save_model(model, load_tokenizer(toy_folder), folder)
    return folder


def log_probability(model: Any, tokenizer: Any, head: str, tail: str) -> float:
    """Of the tail's tokens, by transformers' own forward pass."""
    first = len(tokenizer(head, add_special_tokens=False)["input_ids"])
    tokens = torch.tensor([tokenizer(head + tail, add_special_tokens=False)["input_ids"]])
    with torch.no_grad():
        logprobs = model(input_ids=tokens).logits.log_softmax(-1)[0, :-1]
    return float(logprobs.gather(1, tokens[0, 1:, None])[first - 1 :].sum())


def test_it_is_beta_times_the_log_ratio_of_the_whole_response(policy: Path, toy_folder: Path) -> None:
    tokenizer = load_tokenizer(toy_folder)
    models = [load_causal_lm(policy), load_causal_lm(toy_folder)]
    head = "<bos><user>the cat<bot>"
    ours, theirs = (log_probability(m, tokenizer, head, "sat on<eos>") for m in models)
    settings = {"path": str(policy), "reference": str(toy_folder), "beta": 0.3, "tokens_per_batch": 8}
    bound = bind(reward, Named(name="implicit", settings=settings)).function
    found, again = bound(["the cat", "a dog"], ["sat on", "ran"]), bound(["a dog", "the cat"], ["ran", "sat on"])
    assert found[0] == pytest.approx(0.3 * (ours - theirs), abs=1e-4)
    assert found == pytest.approx(again[::-1], abs=1e-5)
    assert abs(found[0]) > 1e-2
    ours, theirs = (log_probability(m, tokenizer, head, "sat on") for m in models)
    assert bound(["the cat"], ["sat on"], finished=[False]) == pytest.approx([0.3 * (ours - theirs)], abs=1e-4)


def test_a_policy_that_is_its_reference_has_learnt_nothing(toy_folder: Path) -> None:
    judge = ImplicitReward(path=str(toy_folder), reference=str(toy_folder))
    assert judge(["the cat"] * 2, ["sat", "ran"]) == pytest.approx([0.0, 0.0], abs=1e-6)
