"""A reward model with several heads: what each says, in points, and weighed into one reward."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import torch

from truing.bind import bind
from truing.errors import ModelError, RecipeError
from truing.group import Group, Prompt, Response
from truing.models.adapters import with_lora
from truing.models.heads import load_reward_model, reward_model_from
from truing.models.loading import load_causal_lm, load_tokenizer
from truing.models.saving import save_model
from truing.recipe import Named
from truing.registry import reward
from truing.rewards.aspects import Aspect, weights_of
from truing.rewards.model import RewardModel

ASPECTS = {"clear": Aspect(0.5, 2.0, 3.0, 0.5), "helpful": Aspect(-1.0, 0.25, 2.0, 1.0)}
ANSWERS = ["it sat", "it ran over the mat"]


@pytest.fixture(scope="module")
def parts(toy_folder: Path) -> tuple[Any, Any]:
    model = reward_model_from(load_causal_lm(toy_folder), labels=tuple(ASPECTS))
    with torch.no_grad():
        torch.manual_seed(2)
        for parameter in model.parameters():
            if parameter.ndim == 2:
                parameter.add_(0.1 * torch.randn_like(parameter))
    return model, load_tokenizer(toy_folder)


def heads(model: Any, tokenizer: Any, answer: str) -> list[float]:
    """By transformers' own forward pass: a number for each label."""
    ids = tokenizer(f"<bos><user>the cat<bot>{answer}<eos>", add_special_tokens=False)["input_ids"]
    with torch.no_grad():
        found: list[float] = model(input_ids=torch.tensor([ids])).logits[0].tolist()
    return found


def test_the_heads_are_the_labels_of_a_standard_model(parts: tuple[Any, Any], tmp_path: Path) -> None:
    model, tokenizer = parts
    assert model.config.id2label == {0: "clear", 1: "helpful"}
    save_model(model, tokenizer, tmp_path / "model")
    again = load_reward_model(tmp_path / "model", several=True)
    assert again.config.id2label == {0: "clear", 1: "helpful"}
    assert heads(again, tokenizer, "it sat") == pytest.approx(heads(*parts, "it sat"), abs=1e-6)
    with pytest.raises(ModelError, match="it has 2 labels, and a reward is one number"):
        load_reward_model(tmp_path / "model")
    file = tmp_path / "model" / "config.json"
    file.write_text(json.dumps(json.loads(file.read_text()) | {"problem_type": None}))
    with pytest.raises(ModelError, match=r"numbers and not classes.*\n.*problem_type"):
        load_reward_model(tmp_path / "model", several=True)


def test_the_reward_is_the_mean_of_the_normalised_heads(parts: tuple[Any, Any]) -> None:
    found = RewardModel.of(*parts, aspects=ASPECTS)(["the cat"] * 2, ANSWERS)
    expected = []
    for answer in ANSWERS:
        clear, helpful = heads(*parts, answer)
        expected.append(((clear - 0.5) / 2.0 + (helpful + 1.0) / 0.25) / 2)
    assert found == pytest.approx(expected, abs=1e-5)
    plain = RewardModel.of(*parts, aspects=ASPECTS, normalise=False)(["the cat"] * 2, ANSWERS)
    assert plain == pytest.approx([sum(heads(*parts, answer)) / 2 for answer in ANSWERS], abs=1e-5)


def test_weights_choose_the_aspects_and_their_sign(parts: tuple[Any, Any]) -> None:
    judge = RewardModel.of(*parts, aspects=ASPECTS, weights={"helpful": -2.0})
    assert judge(["the cat"], ["it sat"]) == pytest.approx([-(heads(*parts, "it sat")[1] + 1.0) / 0.25], abs=1e-5)
    judge = RewardModel.of(*parts, aspects=ASPECTS, weights={"clear": 3, "helpful": -1})
    clear, helpful = heads(*parts, "it sat")
    expected = (3 * (clear - 0.5) / 2.0 - (helpful + 1.0) / 0.25) / 4
    assert judge(["the cat"], ["it sat"]) == pytest.approx([expected], abs=1e-5)


@pytest.mark.parametrize("budget", [1, 10_000])
def test_ratings_are_in_points_of_the_data(parts: tuple[Any, Any], budget: int) -> None:
    group = Group(Prompt.of("the cat"), tuple(map(Response.of, ANSWERS)))
    ((one, other),) = RewardModel.of(*parts, aspects=ASPECTS, tokens_per_batch=budget).ratings([group])
    clear, helpful = heads(*parts, ANSWERS[0])
    assert one == pytest.approx({"clear": clear * 0.5 + 3.0, "helpful": helpful + 2.0}, abs=1e-5)
    assert other == pytest.approx(
        dict(zip(ASPECTS, [heads(*parts, ANSWERS[1])[0] * 0.5 + 3, heads(*parts, ANSWERS[1])[1] + 2], strict=True)),
        abs=1e-5,
    )


def test_a_saved_folder_is_the_same_reward_by_name(parts: tuple[Any, Any], tmp_path: Path) -> None:
    judge = RewardModel.of(*parts, aspects=ASPECTS, weights={"clear": 1.0})
    judge.save(tmp_path / "model")
    settings = {"path": str(tmp_path / "model"), "weights": {"clear": 1.0}}
    bound = bind(reward, Named(name="model", settings=settings))
    assert bound.function(["the cat"], ["it sat"]) == pytest.approx(judge(["the cat"], ["it sat"]), abs=1e-6)
    calibrated = judge.calibrated([Group(Prompt.of("the cat"), tuple(map(Response.of, ANSWERS)))])
    assert sum(calibrated(["the cat"] * 2, ANSWERS)) == pytest.approx(0.0, abs=1e-5)
    calibrated.save(tmp_path / "calibrated")
    again = RewardModel(path=str(tmp_path / "calibrated"), weights={"clear": 1.0})
    assert again(["the cat"], ["it sat"]) == pytest.approx(calibrated(["the cat"], ["it sat"]), abs=1e-5)


def test_a_model_by_others_has_its_labels_as_aspects(parts: tuple[Any, Any], tmp_path: Path) -> None:
    save_model(*parts, tmp_path / "model")
    (tmp_path / "model" / "truing.json").unlink()
    judge = RewardModel(path=str(tmp_path / "model"))
    assert judge(["the cat"], ["it sat"]) == pytest.approx([sum(heads(*parts, "it sat")) / 2], abs=1e-5)


def test_an_adapter_alone_knows_its_heads(toy_folder: Path, tmp_path: Path) -> None:
    torch.manual_seed(0)
    model = with_lora(reward_model_from(load_causal_lm(toy_folder), labels=tuple(ASPECTS)), r=2)
    tokenizer = load_tokenizer(toy_folder)
    judge = RewardModel.of(model, tokenizer, aspects=ASPECTS)  # type: ignore[arg-type]
    about = {
        "reward": {
            "reading": "aspects",
            "aspects": {"clear": {"mean": 0.5, "std": 2.0}, "helpful": {"mean": -1.0, "std": 0.25}},
        }
    }
    save_model(model, tokenizer, tmp_path / "adapter", merge=False, metadata=about)
    again = RewardModel(path=str(tmp_path / "adapter"))
    assert list(again.aspects) == ["clear", "helpful"]
    assert again(["the cat"], ["it sat"]) == pytest.approx(judge(["the cat"], ["it sat"]), abs=1e-5)


@pytest.mark.parametrize(
    ("weights", "words"),
    [
        ({"kind": 1.0}, r"no aspect `kind`\n.*It has clear, helpful"),
        ({"clear": float("nan")}, "the weight of `clear` is nan"),
        ({"clear": 0.0}, "no aspect has a weight"),
        ({}, "no aspect has a weight"),
    ],
)
def test_weights_that_mean_nothing_are_refused(weights: dict[str, float], words: str) -> None:
    with pytest.raises(RecipeError, match=words):
        weights_of(ASPECTS, weights)


@pytest.mark.parametrize(
    "about",
    [
        {"clear": {"mean": 0.0}},
        {"clear": {"mean": 0.0}, "other": {}},
        {"clear": {"std": 0.0}, "helpful": {}},
        {"clear": {"mean": "x"}, "helpful": {}},
        {"clear": {"median": 1.0}, "helpful": {}},
        {"clear": {"std": float("inf")}, "helpful": {}},
        ["clear", "helpful"],
    ],
)
def test_metadata_that_does_not_fit_the_heads_is_refused(parts: tuple[Any, Any], tmp_path: Path, about: Any) -> None:
    save_model(*parts, tmp_path / "model")
    file = tmp_path / "model" / "truing.json"
    file.write_text(json.dumps({"reward": {"reading": "aspects", "aspects": about}}))
    with pytest.raises(ModelError, match="does not describe its heads, which are clear, helpful"):
        RewardModel(path=str(tmp_path / "model"))


def test_a_single_head_has_no_aspects_to_weigh(toy_folder: Path, tmp_path: Path) -> None:
    save_model(reward_model_from(load_causal_lm(toy_folder)), load_tokenizer(toy_folder), tmp_path / "model")
    with pytest.raises(RecipeError, match="has a single head"):
        RewardModel(path=str(tmp_path / "model"), weights={"clear": 1.0})
