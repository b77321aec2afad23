"""A process reward model as a reward: the probability of every step, and one number of them."""

from __future__ import annotations

import json
import math
from pathlib import Path
from typing import Any

import pytest
import torch

from truing.bind import bind
from truing.errors import DataError, ModelError
from truing.group import Prompt, Response
from truing.models.heads import reward_model_from
from truing.models.loading import load_causal_lm, load_tokenizer
from truing.models.saving import save_model
from truing.recipe import Named
from truing.registry import reward
from truing.rewards.model import RewardModel
from truing.rewards.process import ProcessReward, credits_of, steps_of, summary, token_ends


@pytest.fixture(scope="module")
def parts(toy_folder: Path) -> tuple[Any, Any]:
    model = reward_model_from(load_causal_lm(toy_folder))
    with torch.no_grad():
        torch.manual_seed(2)
        for parameter in model.parameters():
            if parameter.ndim == 2:
                parameter.add_(0.1 * torch.randn_like(parameter))
    return model, load_tokenizer(toy_folder)


def plain(model: Any, tokenizer: Any, text: str) -> float:
    """σ of the score at the last token of a text, by transformers' own forward pass."""
    with torch.no_grad():
        logit: float = model(input_ids=torch.tensor([tokenizer(text, add_special_tokens=False)["input_ids"]])).logits
    return 1 / (1 + math.exp(-float(logit)))


def test_the_score_is_the_product_the_minimum_or_the_last_of_the_steps() -> None:
    assert summary([0.5, 0.8, 0.75], "product") == pytest.approx(0.3)
    assert summary([0.5, 0.8, 0.75], "min") == 0.5
    assert summary([0.5, 0.8, 0.75], "last") == 0.75


@pytest.mark.parametrize("score", ["product", "min", "last"])
def test_saying_nothing_earns_nothing(score: Any) -> None:
    assert summary([], score) == 0.0


def test_steps_are_the_lines_that_hold_something() -> None:
    assert steps_of("12 + 30\n\n  \n= 42\n") == ("12 + 30", "= 42")
    assert steps_of("a. b", ". ") == ("a", "b")
    assert steps_of("") == ()


def test_the_probability_of_a_step_is_read_at_its_last_token(parts: tuple[Any, Any]) -> None:
    judge = ProcessReward.of(*parts)
    prompt, response = Prompt.of("the cat sat"), Response.of_steps(["on the mat", "then it ran"])
    (found,) = judge.probabilities([prompt], [response])
    head = "<bos><user>the cat sat<bot>"
    expected = [plain(*parts, head + "on the mat"), plain(*parts, head + "on the mat\nthen it ran")]
    assert found == pytest.approx(expected, abs=1e-5)
    assert abs(expected[0] - expected[1]) > 1e-3


def test_completions_are_scored_in_the_order_asked_and_an_empty_one_gets_0(parts: tuple[Any, Any]) -> None:
    judge = ProcessReward.of(*parts, score="min")
    texts = ["on the mat\nran", "", "flew", "\n\n"]
    together = judge(["the cat"] * 4, texts, category=["x"] * 4)
    assert together == pytest.approx([judge(["the cat"], [text])[0] for text in texts], abs=1e-6)
    assert together[1] == together[3] == 0.0
    assert 0 < together[0] < 1


def test_the_last_step_of_a_single_line_is_where_all_three_scores_agree(parts: tuple[Any, Any]) -> None:
    scores = [ProcessReward.of(*parts, score=s)(["a dog"], ["ran over"])[0] for s in ("product", "min", "last")]  # type: ignore[arg-type]
    assert scores == pytest.approx([scores[0]] * 3)


def test_a_folder_says_what_it_scores_and_the_wrong_reward_is_refused(parts: tuple[Any, Any], tmp_path: Path) -> None:
    save_model(*parts, tmp_path / "steps", metadata={"reward": {"reading": "steps"}})
    save_model(*parts, tmp_path / "whole", metadata={"reward": {"reading": "last", "mean": 0.0, "std": 1.0}})
    bound = bind(reward, Named(name="process", settings={"path": str(tmp_path / "steps"), "score": "last"}))
    expected = ProcessReward.of(*parts, score="last")(["a dog"], ["ran"])
    assert bound.function(["a dog"], ["ran"]) == pytest.approx(expected, abs=1e-6)
    with pytest.raises(ModelError, match="scores the steps of a reasoning.*\n.*`process`"):
        RewardModel(path=str(tmp_path / "steps"))
    with pytest.raises(ModelError, match=r"scores whole responses.*\n.*`model`"):
        ProcessReward(path=str(tmp_path / "whole"))
    (tmp_path / "whole" / "truing.json").write_text(json.dumps({"reward": {"reading": "median"}}))
    with pytest.raises(ModelError, match="`reward.reading` is 'median'"):
        RewardModel(path=str(tmp_path / "whole"))


# ---- dense ----


def test_credits_are_what_each_step_has_changed_and_add_up_to_the_score() -> None:
    assert credits_of([0.5, 0.8, 0.75], "product") == pytest.approx([0.5, -0.1, -0.1])
    assert credits_of([0.5, 0.8, 0.25], "min") == [0.5, 0.0, -0.25]
    assert credits_of([0.5, 0.8, 0.75], "last") == pytest.approx([0.5, 0.3, -0.05])
    assert credits_of([], "product") == []


def test_a_step_ends_with_the_token_that_completes_it() -> None:
    words = ["12 ", "+ 30", "\n", "= 4", "2", "\n"]

    def decode(ids: list[int]) -> str:
        return "".join(words[i] for i in ids)

    assert token_ends(decode, range(6), "12 + 30\n= 42\n", ("12 + 30", "= 42")) == [1, 4]
    with pytest.raises(DataError, match="process reward model with its tokenizer"):
        token_ends(decode, range(5), "12 + 30\n= 42\n", ("12 + 30", "= 42"))


def test_a_dense_process_reward_hands_the_score_out_at_the_ends_of_steps(parts: tuple[Any, Any]) -> None:
    model, tokenizer = parts
    text = "the cat\na dog"
    tokens = tokenizer(text, add_special_tokens=False)["input_ids"]
    whole = ProcessReward.of(model, tokenizer)(["red moon"], [text])
    (credit,) = ProcessReward.of(model, tokenizer, dense=True)(["red moon"], [text], completion_ids=[tokens])
    assert isinstance(credit, list)
    assert len(credit) == len(tokens)
    assert sum(credit) == pytest.approx(whole[0])
    assert sum(c != 0 for c in credit) == 2
    assert credit[-1] != 0
