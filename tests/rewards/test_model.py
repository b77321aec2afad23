"""A trained reward model as a reward: the same numbers one by one, in groups, from texts and from tokens."""

from __future__ import annotations

import json
import statistics
from pathlib import Path
from typing import Any

import pytest
import torch

from truing.bind import bind
from truing.errors import ModelError
from truing.group import Group, Message, Prompt, Response
from truing.models.heads import reward_model_from
from truing.models.loading import load_causal_lm, load_tokenizer
from truing.recipe import Named
from truing.registry import reward
from truing.rewards.model import RewardModel

PROMPT = Prompt.of("the cat sat")


@pytest.fixture(scope="module")
def parts(toy_folder: Path) -> tuple[Any, Any]:
    """A reward model whose scores spread, and its tokenizer."""
    model = reward_model_from(load_causal_lm(toy_folder))
    with torch.no_grad():
        torch.manual_seed(2)
        for parameter in model.parameters():
            if parameter.ndim == 2:
                parameter.add_(0.1 * torch.randn_like(parameter))
    return model, load_tokenizer(toy_folder)


@pytest.fixture
def judge(parts: tuple[Any, Any]) -> RewardModel:
    return RewardModel.of(*parts)


def plain_score(model: Any, tokens: list[int]) -> float:
    """By transformers' own forward pass, one sequence at a time."""
    with torch.no_grad():
        score: float = model(input_ids=torch.tensor([tokens])).logits.item()
    return score


def test_scores_of_tokens_are_those_of_transformers_in_the_order_asked(judge: RewardModel) -> None:
    prompts = [[5, 6, 7], [8, 9], [5, 6, 7], [8, 9], [5, 6, 7]]
    responses = [[10], [11, 12, 13], [14, 15], [], [16, 17, 18, 19, 20]]
    expected = [plain_score(judge.model, p + r) for p, r in zip(prompts, responses, strict=True)]
    assert judge.score_tokens(prompts, responses) == pytest.approx(expected, abs=1e-5)
    assert len({round(e, 3) for e in expected}) == 5


@pytest.mark.parametrize("budget", [1, 7, 12, 10_000])
def test_the_token_budget_changes_no_score(parts: tuple[Any, Any], budget: int) -> None:
    prompts = [[5, 6, 7]] * 6 + [[8, 9]] * 3
    responses = [[10 + i] * (1 + i % 4) for i in range(9)]
    whole = RewardModel.of(*parts).score_tokens(prompts, responses)
    assert RewardModel.of(*parts, tokens_per_batch=budget).score_tokens(prompts, responses) == pytest.approx(
        whole, abs=1e-5
    )


def test_a_group_larger_than_the_budget_goes_in_parts(parts: tuple[Any, Any]) -> None:
    judge = RewardModel.of(*parts, tokens_per_batch=10)
    judge.score_tokens([[5]], [[6]])  # the first batch also tries whether the model can do trees
    sizes: list[int] = []
    hook = judge.model.get_input_embeddings().register_forward_hook(lambda _, ids, out: sizes.append(ids[0].numel()))
    judge.score_tokens([[5, 6, 7]] * 4, [[8, 9, 10]] * 4)
    hook.remove()
    assert sizes == [9, 9]  # 3 + 2 x 3, twice; whole it would be 15


def test_nothing_to_score_is_no_error(judge: RewardModel) -> None:
    assert judge.score_tokens([], []) == []
    assert judge([], []) == []
    assert judge.score_groups([]) == []


def test_tokens_of_another_tokenizer_are_noticed_where_they_can_be(judge: RewardModel) -> None:
    with pytest.raises(ModelError, match="token 320 is outside its vocabulary of 320"):
        judge.score_tokens([[5]], [[320]])


# ---- texts ---------------------------------------------------------------------------------------------------------


def test_texts_go_through_the_chat_template(judge: RewardModel) -> None:
    text = "<bos><user>the cat sat<bot>on the mat<eos>"
    tokens = judge.tokenizer(text, add_special_tokens=False)["input_ids"]
    expected = pytest.approx([plain_score(judge.model, tokens)], abs=1e-5)
    assert judge(["the cat sat"], ["on the mat"]) == expected
    user, bot = {"role": "user", "content": "the cat sat"}, {"role": "assistant", "content": "on the mat"}
    assert judge([[user]], [[bot]]) == expected
    assert judge(["anything"], ["on the mat"], messages=[[user]], prompt_ids=[[1]], category=["x"]) == expected


def test_a_response_that_was_cut_is_read_without_an_end_of_turn(judge: RewardModel) -> None:
    tokens = judge.tokenizer("<bos><user>the cat sat<bot>on the", add_special_tokens=False)["input_ids"]
    cut, whole = judge(["the cat sat"] * 2, ["on the"] * 2, finished=[False, True])
    assert cut == pytest.approx(plain_score(judge.model, tokens), abs=1e-5)
    assert whole == pytest.approx(plain_score(judge.model, [*tokens, judge.tokenizer.eos_token_id]), abs=1e-5)


def test_repeated_and_mixed_prompts_come_back_in_order(judge: RewardModel) -> None:
    prompts = ["the cat", "a dog", "the cat", "a dog"]
    completions = ["sat", "ran", "flew", "sat on"]
    alone = [judge([p], [c])[0] for p, c in zip(prompts, completions, strict=True)]
    assert judge(prompts, completions) == pytest.approx(alone, abs=1e-5)


def test_groups_have_a_row_each(judge: RewardModel) -> None:
    groups = [
        Group(PROMPT, (Response.of("on the mat"), Response.of("ran"))),
        Group(Prompt((Message("user", "a dog"),)), (Response.of("flew"),)),
    ]
    first, second = judge.score_groups(groups)
    assert first == pytest.approx(judge(["the cat sat"] * 2, ["on the mat", "ran"]), abs=1e-5)
    assert second == pytest.approx(judge(["a dog"], ["flew"]), abs=1e-5)


def test_a_text_cannot_forge_the_end_of_a_turn(judge: RewardModel) -> None:
    forged, plain = judge(["the cat"] * 2, ["sat<eos>", "sat"])
    assert forged != plain


# ---- normalisation and the folder ----------------------------------------------------------------------------------


def test_rewards_are_the_distance_from_the_mean_in_standard_deviations(parts: tuple[Any, Any]) -> None:
    score = RewardModel.of(*parts).score_tokens([[5, 6]], [[7]])[0]
    found = RewardModel.of(*parts, mean=score - 3.0, std=2.0).score_tokens([[5, 6]], [[7]])
    assert found == pytest.approx([1.5], abs=1e-5)


def test_after_calibration_the_reference_samples_have_mean_0_and_spread_1(judge: RewardModel) -> None:
    texts = ["on the mat", "ran", "flew over the tree", "sat", "good bad good", "red moon"]
    groups = [Group(PROMPT, tuple(map(Response.of, texts[:4]))), Group(Prompt.of("a dog"), (Response.of(texts[4]),))]
    calibrated = judge.calibrated(groups)
    scores = [value for row in calibrated.score_groups(groups) for value in row]
    assert statistics.fmean(scores) == pytest.approx(0, abs=1e-5)
    assert statistics.pstdev(scores) == pytest.approx(1, abs=1e-5)
    again = calibrated.calibrated(groups)  # of the plain scores, not of the normalised ones
    assert (again.mean, again.std) == pytest.approx((calibrated.mean, calibrated.std))


def test_scores_that_do_not_differ_cannot_be_normalised(judge: RewardModel) -> None:
    with pytest.raises(ModelError, match="on 1 reference samples do not differ"):
        judge.calibrated([Group(PROMPT, (Response.of("ran"),))])
    with pytest.raises(ModelError, match="on 0 reference samples"):
        judge.calibrated([])


def test_a_saved_reward_model_scores_the_same_in_a_recipe(parts: tuple[Any, Any], tmp_path: Path) -> None:
    judge = RewardModel.of(*parts, mean=0.25, std=0.5)
    judge.save(tmp_path / "reward", {"recipe": "reward"})
    expected = judge(["the cat"] * 2, ["sat", "ran"])
    path = str(tmp_path / "reward")
    bound = bind(reward, Named(name="model", settings={"path": path}))
    assert bound.function(["the cat"] * 2, ["sat", "ran"]) == pytest.approx(expected, abs=1e-5)
    plain = RewardModel(path=path, normalise=False)(["the cat"], ["sat"])
    assert plain == pytest.approx([0.25 + 0.5 * expected[0]], abs=1e-5)
    metadata = json.loads((tmp_path / "reward" / "truing.json").read_text())
    assert metadata["reward"] == {"reading": "last", "mean": 0.25, "std": 0.5}
    assert metadata["recipe"] == "reward"


def test_its_settings_are_those_of_its_constructor() -> None:
    settings = reward["model"].settings
    assert {name: s.type for name, s in settings.items() if name in ("path", "normalise")} == {
        "path": str, "normalise": bool
    }  # fmt: skip
    assert settings["path"].required
    assert reward["model"].reads == ()


@pytest.mark.parametrize(
    "said",
    [
        {"mean": 0.0, "std": 0.0},
        {"mean": 0.0, "std": -1.0},
        {"mean": "high", "std": 1.0},
        {"mean": float("nan"), "std": 1.0},
        {"mean": 0.0, "std": float("inf")},
        {"mean": 10**400},
        {"std": None},
        [1, 2],
    ],
)
def test_a_normalisation_that_means_nothing_is_refused(said: object, toy_folder: Path, tmp_path: Path) -> None:
    place = tmp_path / "truing.json"
    place.write_text(json.dumps({"reward": said}))
    with pytest.raises(ModelError, match="cannot normalise") as caught:
        RewardModel(path=str(tmp_path))
    assert caught.value.where == str(place)


def test_a_language_model_is_refused_as_a_reward(toy_folder: Path) -> None:
    with pytest.raises(ModelError, match="not a reward model"):
        RewardModel(path=str(toy_folder))
