from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from truing.bind import bind
from truing.chat import Chat
from truing.errors import DataError, TrainingError
from truing.experience.online import Online
from truing.group import Group, Prompt
from truing.models.loading import load_tokenizer
from truing.recipe import CombinationSettings, Named, RewardKL, RolloutSettings
from truing.registry import advantage
from truing.rollouts.sampling import Sample, Sampling
from truing.tree import Tree


@pytest.fixture
def chat(toy_folder: Path) -> Chat:
    return Chat(load_tokenizer(toy_folder))


class Echo:
    """Answers every prompt with its last token, once, twice, ... and remembers what it was asked."""

    def __init__(self) -> None:
        self.seeds: list[int | None] = []

    def generate(self, prompts: Sequence[list[int]], num_samples: int, sampling: Sampling) -> list[list[Sample]]:
        self.seeds.append(sampling.seed)
        return [
            [Sample([p[-2]] * (k + 1), [-0.5] * (k + 1), finished=k < 2) for k in range(num_samples)] for p in prompts
        ]


def longer(prompts: Sequence[str], completions: Sequence[str], **columns: Sequence[object]) -> list[float | None]:
    return [float(len(ids)) for ids in columns["completion_ids"]]  # type: ignore[arg-type]


def _online(chat: Chat, rewards: Sequence[object], rollouts: Echo | None = None, **more: object) -> Online:
    settings = RolloutSettings.model_validate({"group_size": 3, "prompts_per_step": 2, **more})
    prompts = [Group(Prompt.of(text), columns={"answer": text}) for text in ("the cat", "a dog", "red moon")]
    mean = bind(advantage, Named(name="group_mean", settings={"scale": "none"}))
    return Online(prompts, chat, rollouts or Echo(), rewards, mean, settings, 0, 4)  # type: ignore[arg-type]


def test_samples_become_trees_with_advantages_against_the_mean_of_the_group(chat: Chat) -> None:
    batch = _online(chat, [("longer", 1.0, longer)]).batch(0)
    assert [len(b.tokens) for b in batch.trees[0].branches] == [1, 2, 3]
    assert batch.trees[0].feedback["advantages"] == [[-1.0], [0.0, 0.0], [1.0, 1.0, 1.0]]
    assert batch.trees[0].branches[1].logprobs == [-0.5, -0.5]
    assert batch.metrics["reward"] == 2.0
    assert batch.metrics["reward_std"] == pytest.approx((2 / 3) ** 0.5)
    assert batch.metrics["frac_reward_zero_std"] == 0.0
    assert batch.metrics["completions/clipped_ratio"] == pytest.approx(1 / 3)
    assert batch.policy_version == 0


def test_several_rewards_are_combined_as_the_recipe_says(chat: Chat) -> None:
    def two(prompts: Sequence[str], completions: Sequence[str], **columns: object) -> list[float]:
        return [2.0] * len(completions)

    online = _online(chat, [("two", 1.0, two), ("longer", -1.0, longer)])
    online.combination = CombinationSettings(by="lexicographic")
    batch = online.batch(0)  # all tie on the first; the shortest is the best by the second
    assert [a[0] for a in batch.trees[0].feedback["advantages"]] == [0.5, 0.0, -0.5]
    assert batch.metrics["reward"] == 0.5


def test_rewards_are_weighted_and_added_and_a_cut_answer_pays(chat: Chat) -> None:
    def two(prompts: Sequence[str], completions: Sequence[str], **columns: object) -> list[float]:
        return [2.0] * len(completions)

    online = _online(chat, [("longer", 1.0, longer), ("two", 0.5, two)], missing_end_penalty=10.0)
    metrics = online.batch(0).metrics
    assert metrics["reward"] == pytest.approx((2 + 3 + 4 - 10) / 3)
    assert (metrics["rewards/longer/mean"], metrics["rewards/two/mean"]) == (2.0, 2.0)


def test_an_answer_that_no_reward_speaks_of_is_not_trained_on(chat: Chat) -> None:
    async def some(prompts: Sequence[str], completions: Sequence[str], **columns: object) -> list[float | None]:
        return [None if i % 3 == 0 else float(i) for i in range(len(completions))]

    tree = _online(chat, [("some", 1.0, some)]).batch(0).trees[0]
    assert [any(b.mask) for b in tree.branches] == [False, True, True]
    assert tree.feedback["advantages"] == [[0.0], [-0.5, -0.5], [0.5, 0.5, 0.5]]


def test_columns_and_turns_of_the_prompt_reach_the_reward(chat: Chat) -> None:
    seen: dict[str, Any] = {}

    def look(prompts: Sequence[str], completions: Sequence[str], **columns: object) -> list[float]:
        seen.update(columns, prompts=prompts)
        return [0.0] * len(completions)

    _online(chat, [("look", 1.0, look)]).batch(0)
    assert seen["answer"] == seen["prompts"]
    assert len(set(seen["prompts"])) == 2
    assert seen["messages"][0] == [{"role": "user", "content": seen["prompts"][0]}]


@pytest.mark.parametrize("said", [[1.0], [float("nan")] * 6, ["good"] * 6, 3])
def test_a_reward_that_answers_nonsense_is_named(chat: Chat, said: object) -> None:
    with pytest.raises(TrainingError, match="reward `odd`"):
        _online(chat, [("odd", 1.0, lambda prompts, completions, **columns: said)]).batch(0)


def test_every_prompt_comes_before_any_comes_again_and_seeds_differ_by_step(chat: Chat) -> None:
    echo = Echo()
    online = _online(chat, [("longer", 1.0, longer)], echo)
    prompts = [tuple(t.prompt) for step in range(3) for t in online.batch(step).trees]
    assert len(set(prompts[:3])) == 3
    assert len(set(prompts[3:])) == 3
    assert len(set(echo.seeds)) == 3
    again = Echo()
    _online(chat, [("longer", 1.0, longer)], again).batch(1)
    assert again.seeds == echo.seeds[1:2]


# ---- what the models say of the samples ----


class Says:
    """Models that say one number of every token; remembers which streams it was asked for."""

    def __init__(self, **said: float) -> None:
        self.said, self.asked = said, set[str]()

    def __call__(self, trees: Sequence[Tree], reads: Iterable[str]) -> Mapping[str, list[list[list[float]]]]:
        self.asked |= set(reads)
        return {
            name: [[[self.said[name]] * len(b.tokens) for b in tree.branches] for tree in trees] for name in self.asked
        }


def test_the_kl_penalty_is_taken_from_every_token_and_the_score_given_at_the_last(chat: Chat) -> None:
    online = _online(chat, [("longer", 1.0, longer)])
    online.advantage = bind(advantage, Named(name="gae", settings={"lam": 1.0, "whiten": False}))
    online.needs = frozenset({"old_values", "returns"})
    online.reward_kl = RewardKL(coefficient=0.1)
    online.carried.kl_coefficient = 0.1
    # sampled at -0.5, reference at -1.5: every token is 1 nat away and costs 0.1; the values are 0.5
    online.assess = Says(ref_logprobs=-1.5, values=0.5)
    batch = online.batch(0)
    two = batch.trees[0].feedback
    assert online.assess.asked == {"ref_logprobs", "values"}
    assert two["returns"][1] == pytest.approx([2.0 - 0.2, 2.0 - 0.1])
    assert two["advantages"][1] == pytest.approx([1.3, 1.4])
    assert two["old_values"][1] == [0.5, 0.5]
    assert batch.metrics["kl/sequence"] == pytest.approx((1 + 2 + 3) / 3)
    assert batch.metrics["kl/coefficient"] == 0.1
    assert batch.metrics["entropy"] == 0.5


def test_an_advantage_of_whole_responses_sees_the_reward_less_its_whole_kl(chat: Chat) -> None:
    online = _online(chat, [("longer", 1.0, longer)])
    online.reward_kl = RewardKL(coefficient=0.1)
    online.carried.kl_coefficient = 0.1
    online.assess = Says(ref_logprobs=-1.5)
    tree = online.batch(0).trees[0]  # rewards 1, 2, 3 less 0.1, 0.2, 0.3
    assert [row[0] for row in tree.feedback["advantages"]] == pytest.approx([-0.9, 0.0, 0.9], abs=1e-6)


def test_the_coefficient_follows_the_kl_and_survives_a_restart(chat: Chat) -> None:
    online = _online(chat, [("longer", 1.0, longer)])
    online.reward_kl = RewardKL(coefficient=0.1, target=1.0, horizon=60)
    online.carried.kl_coefficient = 0.1
    online.assess = Says(ref_logprobs=-1.5)
    first = online.batch(0).metrics  # KL 2 against a target of 1: the error is cut at 0.2; 6 samples of 60
    assert first["kl/coefficient"] == 0.1
    assert online.carried.kl_coefficient == pytest.approx(0.1 * (1 + 0.2 * 6 / 60))
    other = _online(chat, [("longer", 1.0, longer)])
    other.restore(online.state())
    assert other.carried == online.carried


def test_the_reference_and_the_old_policy_are_asked_once_where_a_batch_is_used_several_times(chat: Chat) -> None:
    online = _online(chat, [("longer", 1.0, longer)])
    online.needs = frozenset({"old_logprobs", "ref_logprobs"})
    online.several_updates = True
    online.assess = Says(logprobs=-0.25, ref_logprobs=-1.0)
    tree = online.batch(0).trees[0]
    assert tree.feedback["old_logprobs"][1] == [-0.25, -0.25]
    assert tree.feedback["ref_logprobs"][1] == [-1.0, -1.0]


def test_the_old_policy_is_not_asked_where_the_first_update_is_over_the_whole_batch(chat: Chat) -> None:
    online = _online(chat, [("longer", 1.0, longer)])
    online.needs, online.several_updates, online.whole = frozenset({"old_logprobs", "ref_logprobs"}), True, True
    online.assess = Says(ref_logprobs=-1.0)
    assert "old_logprobs" not in online.batch(0).trees[0].feedback
    # the reward is made before the update, and reads them
    online.reward_kl, online.assess = RewardKL(), Says(logprobs=-0.25, ref_logprobs=-1.0)
    assert online.batch(0).trees[0].feedback["old_logprobs"][1] == [-0.25, -0.25]


def test_the_samplers_word_is_taken_where_the_recipe_says_so(chat: Chat) -> None:
    online = _online(chat, [("longer", 1.0, longer)], old_logprobs="sampling")
    online.needs = frozenset({"old_logprobs"})
    assert online.batch(0).trees[0].feedback["old_logprobs"][1] == [-0.5, -0.5]


def test_a_dense_reward_credits_its_tokens_and_the_rest_goes_to_the_last(chat: Chat) -> None:
    def dense(prompts: Sequence[str], completions: Sequence[str], **columns: Sequence[Sequence[int]]) -> list[object]:
        return [[0.1 * t for t in range(len(ids))] for ids in columns["completion_ids"]]

    online = _online(chat, [("dense", 2.0, dense), ("longer", 1.0, longer)])
    online.advantage = bind(advantage, Named(name="gae", settings={"lam": 1.0, "whiten": False}))
    online.needs = frozenset({"old_values", "returns"})
    online.assess = Says(values=0.0)
    batch = online.batch(0)
    # tokens of the third answer: 0, 0.2, 0.4 + 3
    assert batch.trees[0].feedback["returns"][2] == pytest.approx([3.6, 3.6, 3.4])
    assert batch.metrics["rewards/dense/mean"] == pytest.approx((0 + 0.1 + 0.3) / 3)
    online.combination = CombinationSettings(normalise="group")
    with pytest.raises(TrainingError, match="plain weighted sum"):
        online.batch(0)


# ---- which samples ----


def test_an_answer_that_was_cut_is_not_trained_on_where_the_recipe_says_so(chat: Chat) -> None:
    tree = _online(chat, [("longer", 1.0, longer)], mask_truncated=True).batch(0).trees[0]
    assert [any(b.mask) for b in tree.branches] == [True, True, False]


def test_groups_that_are_all_worth_the_same_are_replaced(chat: Chat) -> None:
    def only_dogs(
        prompts: Sequence[str], completions: Sequence[str], **columns: Sequence[Sequence[int]]
    ) -> list[float]:
        lengths = map(len, columns["completion_ids"])
        return [float(n) if "dog" in p else 1.0 for p, n in zip(prompts, lengths, strict=True)]

    plain = _online(chat, [("only_dogs", 1.0, only_dogs)])
    assert plain.batch(0).metrics["frac_reward_zero_std"] >= 0.5
    refilling = _online(chat, [("only_dogs", 1.0, only_dogs)], refill=8)
    batch = refilling.batch(0)
    assert len(batch.trees) == 2
    assert batch.metrics["frac_reward_zero_std"] == 0.0
    assert batch.metrics["rollouts/groups_kept"] == 2.0
    assert batch.metrics["rollouts/groups_sampled"] > 2.0
    again = refilling.batch(0)
    assert [t.prompt for t in again.trees] == [t.prompt for t in batch.trees]


def test_where_nothing_tells_apart_the_batch_keeps_its_size(chat: Chat) -> None:
    def same(prompts: Sequence[str], completions: Sequence[str], **columns: object) -> list[float]:
        return [1.0] * len(completions)

    batch = _online(chat, [("same", 1.0, same)], refill=2).batch(0)
    assert len(batch.trees) == 2
    assert batch.metrics["rollouts/groups_sampled"] == 6.0
    assert batch.metrics["rollouts/groups_kept"] == 0.0


def test_rewards_are_put_on_one_scale_by_samples_of_the_first_policy(chat: Chat) -> None:
    online = _online(chat, [("longer", 1.0, longer)])
    online.combination = CombinationSettings(calibrate=6)
    batch = online.batch(0)  # rewards 1, 2, 3: mean 2, spread sqrt(2/3)
    assert online.carried.scales["longer"] == pytest.approx((2.0, math.sqrt(2 / 3)))
    assert batch.metrics["reward"] == pytest.approx(0.0)
    assert batch.metrics["reward_std"] == pytest.approx(1.0)
    assert batch.metrics["rewards/longer/mean"] == 2.0
    online.combination = CombinationSettings(calibrate=6)
    online.carried.scales = {"longer": (0.0, 1.0)}
    assert online.batch(1).metrics["reward"] == 2.0  # not calibrated again


def test_a_reward_without_spread_cannot_be_calibrated(chat: Chat) -> None:
    online = _online(chat, [("same", 1.0, lambda prompts, completions, **columns: [1.0] * len(completions))])
    online.combination = CombinationSettings(calibrate=6)
    with pytest.raises(DataError, match="without a spread"):
        online.batch(0)


def test_the_greedy_answer_is_the_baseline_of_remax(chat: Chat) -> None:
    online = _online(chat, [("longer", 1.0, longer)])
    online.advantage = bind(advantage, Named(name="greedy_baseline"))
    batch = online.batch(0)  # the one greedy answer has one token and is worth 1
    assert [row[0] for row in batch.trees[0].feedback["advantages"]] == [0.0, 1.0, 2.0]


def test_rewards_become_the_feedback_that_an_offline_objective_reads(chat: Chat) -> None:
    online = _online(chat, [("longer", 1.0, longer)])
    online.needs = frozenset({"chosen", "rejected", "ranks", "scores", "labels"})
    said = online.batch(0).trees[0].feedback
    assert said["pairs"] == [(2, 0)]
    assert said["margin"] == [2.0]
    assert said["ranks"] == [3, 2, 1]
    assert said["scores"] == [1.0, 2.0, 3.0]
    assert said["labels"] == [0, -1, 1]


def test_an_evaluation_learns_and_carries_nothing(chat: Chat) -> None:
    online = _online(chat, [("longer", 1.0, longer)])
    online.combination = CombinationSettings(calibrate=6)
    online.reward_kl = RewardKL(coefficient=0.1, target=1.0)
    before = online.state()
    assert online.evaluate()["reward"] == 2.0
    assert online.state() == before


# ---- what evaluations say of reasoning ----


class Counts:
    """Says 1 where a response has one token and votes with its length."""

    def __call__(self, prompts: Sequence[str], completions: Sequence[str], **columns: Any) -> list[float]:
        return [float(len(ids) == 1) for ids in columns["completion_ids"]]

    def vote(self, text: str) -> int | None:
        return len(text.split()) or None


def test_an_evaluation_says_how_well_problems_are_solved(chat: Chat) -> None:
    online = _online(chat, [("longer", 0.1, longer), ("counts", 1.0, Counts())], group_size=4)
    found = online.evaluate()  # one right of four, and the likeliest is the single token
    assert online.verifies
    assert found["accuracy"] == 0.25
    assert found["accuracy/greedy"] == 1.0
    assert found["pass@2"] == pytest.approx(1 / 2)
    assert found["pass@4"] == 1.0
    assert found["self_check"] == 0.0
    assert found["majority@4"] <= 1.0


def test_without_a_reward_that_says_right_or_wrong_there_is_no_accuracy(chat: Chat) -> None:
    online = _online(chat, [("longer", 1.0, longer)])
    assert not online.verifies
    assert "accuracy" not in online.evaluate()
