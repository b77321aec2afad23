"""A preference model as a judge of two answers and as a reward: the same numbers however they are batched."""

from __future__ import annotations

import itertools
import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from truing.bind import bind
from truing.errors import ModelError, RecipeError
from truing.evaluate.reward_model import evaluate_reward
from truing.experience.pairwise import ANOTHER
from truing.group import Prompt, Response
from truing.models.heads import reward_model_from
from truing.models.loading import load_causal_lm, load_tokenizer
from truing.models.saving import save_model
from truing.recipe import Named
from truing.registry import reward
from truing.rewards.model import RewardModel
from truing.rewards.pair import PairPreference, compares_pairs


@pytest.fixture(scope="module")
def parts(toy_folder: Path) -> tuple[Any, Any]:
    model = reward_model_from(load_causal_lm(toy_folder))
    with torch.no_grad():
        torch.manual_seed(2)
        for parameter in model.parameters():
            if parameter.ndim == 2:
                parameter.add_(0.1 * torch.randn_like(parameter))
    return model, load_tokenizer(toy_folder)


@pytest.fixture(scope="module")
def folder(parts: tuple[Any, Any], tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("preference") / "model"
    save_model(*parts, place, metadata={"reward": {"reading": "pair"}})
    return place


def plain_logit(model: Any, tokenizer: Any, prompt: str, first: str, second: str) -> float:
    """By transformers' own forward pass, one text at a time."""

    def score(one: str, other: str) -> float:
        text = f"<bos><user>{prompt}<bot>{one}<eos><user>{ANOTHER}<bot>{other}<eos>"
        with torch.no_grad():
            found = model(input_ids=torch.tensor([tokenizer(text, add_special_tokens=False)["input_ids"]])).logits
        return float(found)

    return (score(first, second) - score(second, first)) / 2


def sigmoid(x: float) -> float:
    return 1 / (1 + math.exp(-x))


def test_the_probability_is_what_transformers_computes_of_both_orders(parts: tuple[Any, Any]) -> None:
    (found,) = PairPreference.of(*parts).probabilities(["the cat"], ["it sat"], ["it ran over"])
    expected = plain_logit(*parts, "the cat", "it sat", "it ran over")
    assert found == pytest.approx(sigmoid(expected), abs=1e-6)
    assert abs(expected) > 1e-3


def test_the_other_way_round_is_one_minus_that_and_an_answer_ties_with_itself(parts: tuple[Any, Any]) -> None:
    judge = PairPreference.of(*parts)
    one = judge.probabilities(["the cat"] * 2, ["it sat", "it ran"], ["it ran", "it ran"])
    other = judge.probabilities([Prompt.of("the cat")], [Response.of("it ran")], [Response.of("it sat")])
    assert one[0] + other[0] == pytest.approx(1.0, abs=1e-6)
    assert abs(one[0] - 0.5) > 1e-3
    assert one[1] == pytest.approx(0.5, abs=1e-6)
    assert judge.probabilities([], [], []) == []


@pytest.mark.parametrize("budget", [1, 60, 10_000])
def test_neither_the_budget_nor_the_neighbours_change_a_probability(parts: tuple[Any, Any], budget: int) -> None:
    answers = ["it sat", "it ran over the mat", "", "it flew"]
    pairs = list(itertools.permutations(answers, 2))
    prompts = ["the cat" if i % 2 else "a blue dog ran" for i in range(len(pairs))]
    judge = PairPreference.of(*parts, tokens_per_batch=budget)
    found = judge.probabilities(prompts, *zip(*pairs, strict=True))
    expected = [sigmoid(plain_logit(*parts, p, *two)) for p, two in zip(prompts, pairs, strict=True)]
    assert found == pytest.approx(expected, abs=1e-6)


def test_the_reward_is_the_mean_probability_of_beating_the_others_of_the_prompt(parts: tuple[Any, Any]) -> None:
    judge = PairPreference.of(*parts)
    prompts = ["the cat", "a dog", "the cat", "the cat", "a dog"]
    answers = ["it sat", "it ran", "it flew over", "it was bad", "it was good"]
    found = judge(prompts, answers, category=["x"] * 5)
    cats = [
        sum(sigmoid(plain_logit(*parts, "the cat", answers[i], answers[j])) for j in (0, 2, 3) if j != i) / 2
        for i in (0, 2, 3)
    ]
    assert [found[i] for i in (0, 2, 3)] == pytest.approx(cats, abs=1e-6)
    assert found[1] + found[4] == pytest.approx(1.0)
    assert sum(cats) == pytest.approx(1.5)


def test_a_cut_answer_is_read_without_its_end(parts: tuple[Any, Any]) -> None:
    judge = PairPreference.of(*parts)
    whole, cut = (judge(["the cat"] * 2, ["it sat", "it ran"], finished=[True, f]) for f in (True, False))
    assert abs(whole[0] - cut[0]) > 1e-4


def test_a_response_alone_has_nothing_to_beat(parts: tuple[Any, Any]) -> None:
    with pytest.raises(RecipeError, match="single response.*\n.*group_size >= 2"):
        PairPreference.of(*parts)(["the cat", "a dog", "a dog"], ["x", "y", "z"])


def test_a_folder_says_that_it_compares_and_the_wrong_reward_is_refused(
    parts: tuple[Any, Any], folder: Path, tmp_path: Path
) -> None:
    bound = bind(reward, Named(name="pair_preference", settings={"path": str(folder)}))
    expected = PairPreference.of(*parts)(["the cat"] * 2, ["it sat", "it ran"])
    assert bound.function(["the cat"] * 2, ["it sat", "it ran"]) == pytest.approx(expected, abs=1e-6)
    with pytest.raises(ModelError, match=r"compares two responses.*\n.*`pair_preference`"):
        RewardModel(path=str(folder))
    save_model(*parts, tmp_path / "scores", metadata={"reward": {"reading": "last"}})
    assert not compares_pairs(tmp_path / "scores")
    with pytest.raises(ModelError, match=r"nothing in it says that it compares.*\n.*train pair_preference"):
        PairPreference(path=str(tmp_path / "scores"))


def test_it_is_evaluated_comparison_by_comparison(parts: tuple[Any, Any], folder: Path, tmp_path: Path) -> None:
    answers = ["it sat", "it ran over", "it flew"]
    rows: list[dict[str, Any]] = [
        {"prompt": "the cat", "responses": answers, "ranking": [1, 0, 2]},
        {"prompt": "a dog", "chosen": "it was good", "rejected": "it was bad", "strength": 0.8},
    ]
    files = [tmp_path / "rankings.jsonl", tmp_path / "pairs.jsonl"]
    for file, row in zip(files, rows, strict=True):
        file.write_text(json.dumps(row) + "\n", encoding="utf-8")
    report = evaluate_reward(str(folder), str(files[0]), tmp_path / "report.json")
    order = [1, 0, 2]
    right = [
        plain_logit(*parts, "the cat", answers[order[i]], answers[order[j]]) > 0 for i, j in ((0, 1), (0, 2), (1, 2))
    ]
    assert (report.num_prompts, report.accuracy.n) == (1, 3)
    assert report.accuracy.value == pytest.approx(sum(right) / 3)
    one = evaluate_reward(str(folder), str(files[1]), tmp_path / "report.json")
    sure = sigmoid(abs(plain_logit(*parts, "a dog", "it was good", "it was bad")))
    (bin,) = [b for b in one.bins if b.n]
    assert bin.confidence == pytest.approx(sure, abs=1e-5)
    assert bin.right in (pytest.approx(0.8), pytest.approx(0.2))


def test_with_rivals_only_the_other_side_counts(parts: tuple[Any, Any]) -> None:
    judge = PairPreference.of(*parts)
    answers, rivals = ["the cat", "a dog ran", "red moon"], [False, False, True]
    found = judge(["it was"] * 3, answers, rivals=rivals)
    against = judge.probabilities(["it was"] * 2, answers[:2], answers[2:] * 2)
    assert found == pytest.approx([*against, 1 - sum(against) / 2], abs=1e-6)
