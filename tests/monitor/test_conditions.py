"""Every condition on histories that a reader can check by hand: one that provokes it, one that just does not."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from typing import Any

import pytest

from truing.monitor import CONDITIONS, Finding, Monitor
from truing.settings import MonitorSettings

Lines = list[dict[str, float]]


def told(lines: Lines, name: str, **settings: Any) -> list[Finding]:
    """What a condition has found at the last of these steps, counted from 1."""
    monitor = Monitor(MonitorSettings.model_validate(settings))
    found: list[Finding] = []
    for step, line in enumerate(lines, 1):
        found = monitor.observe(step, line)
    return [finding for finding in found if finding.condition == name]


def columns(**series: list[float]) -> Lines:
    """Lines out of columns; NAMES_LIKE__THIS stand for names/like/this."""
    return [
        dict(zip([n.replace("__", "/") for n in series], row, strict=True))
        for row in zip(*series.values(), strict=True)
    ]


def judged(judge: list[float], reward: list[float], error: float) -> Lines:
    rows = zip(judge, reward, strict=True)
    return [{"eval/judge": j, "eval/reward": r, "eval/judge/std_error": error} for j, r in rows]


def same(share: float, lowest: float, highest: float, low: float, high: float, **more: float) -> dict[str, float]:
    """A step in which a `share` of the groups has one reward each."""
    return {
        "frac_reward_zero_std": share, "frac_reward_zero_std/lowest": low, "frac_reward_zero_std/highest": high,
        "reward/lowest": lowest, "reward/highest": highest, "completions/clipped_ratio": 0.0, **more,
    }  # fmt: skip


CASES: Mapping[str, tuple[Lines, Lines]] = {
    # name: (holds at the last step, does not)
    "kl_drift": (columns(kl__sequence=[40, 51, 51, 51]), columns(kl__sequence=[40, 51, 51, 47])),
    "kl_spike": (columns(kl__sequence=[1.0] * 10 + [5.1]), columns(kl__sequence=[1.0] * 10 + [4.9])),
    "entropy_collapse": (columns(entropy=[2.0] + [0.19] * 5), columns(entropy=[2.0] + [0.21] * 5)),
    "clip_fraction": (columns(clip_ratio__region=[0.31] * 3), columns(clip_ratio__region=[0.29] * 3)),
    "first_ratio": (columns(ratio__first_error=[0.0, 0.06]), columns(ratio__first_error=[0.06, 0.0])),
    "sampling_mismatch": (columns(sampling__difference=[0.06] * 3), columns(sampling__difference=[0.04] * 3)),
    "few_effective_samples": (columns(sampling__effective=[0.4] * 3), columns(sampling__effective=[0.6] * 3)),
    "not_finite": ([{"loss": 1.0}, {"loss": math.nan}], [{"loss": 1.0, "value/explained_variance": math.nan}]),
    "gradient_explosion": (columns(grad_norm=[0.5] * 20 + [5.1]), columns(grad_norm=[0.5] * 20 + [4.9])),
    "explained_variance": (
        columns(value__explained_variance=[0.5] * 20 + [-0.1] * 10),
        columns(value__explained_variance=[-0.1] * 29),
    ),
    "overfitting": (
        columns(loss=[3, 2, 1, 0.5], eval__loss=[2.0, 1.0, 1.11, 1.2]),
        columns(loss=[3, 2, 1, 0.5], eval__loss=[2.0, 1.0, 1.09, 1.2]),
    ),
    "same_rewards": ([same(1.0, 0, 0, 1, 1)] * 3, [same(0.8, 0, 1, 0.4, 0.4)] * 3),
    "silent_reward": (columns(rewards__never_earned=[1] * 5), columns(rewards__never_earned=[1, 1, 1, 0, 1, 1, 1, 1])),
    "reward_hacking": (judged([1.0, 2.0, 1.1], [0.0, 1.0, 2.0], 0.2), judged([1.0, 2.0, 1.2], [0.0, 1.0, 2.0], 0.2)),
    "reward_is_length": (
        columns(rewards__length_correlation=[0.8] * 10, completions__mean_length=[10.0] * 5 + [14.0] * 5),
        columns(rewards__length_correlation=[0.8] * 10, completions__mean_length=[10.0] * 5 + [12.0] * 5),
    ),
    "ensemble_spread": (
        columns(rewards__ensemble__spread=[0.1] * 5 + [0.21] * 5),
        columns(rewards__ensemble__spread=[0.1] * 5 + [0.19] * 5),
    ),
    "truncated": (
        columns(completions__clipped_ratio=[0.6] * 3),
        columns(completions__clipped_ratio=[0.6, 0.6, 0.2]),
    ),
    "length_explosion": (
        columns(completions__mean_length=[10.0] * 3 + [31.0] * 3),
        columns(completions__mean_length=[10.0] * 3 + [29.0] * 3),
    ),
    "repetition": (
        columns(completions__repetition=[0.1] * 3 + [0.26] * 3),
        columns(completions__repetition=[0.1] * 3 + [0.24] * 3),
    ),
    "chosen_falls": (
        columns(
            rewards__chosen=[0] + [-5.1] * 10, rewards__margins=[0] + [1.0] * 10, logps__chosen=[-50] + [-101.0] * 10
        ),
        columns(
            rewards__chosen=[0] + [-4.9] * 10, rewards__margins=[0] + [1.0] * 10, logps__chosen=[-50] + [-99.0] * 10
        ),
    ),
    "accuracy": (columns(eval__rewards__accuracies=[0.6, 0.49]), columns(eval__rewards__accuracies=[0.3, 0.5])),
}


def test_every_condition_has_its_histories_here() -> None:
    assert CASES.keys() == CONDITIONS.keys()


@pytest.mark.parametrize("name", CASES)
def test_a_condition_holds_beyond_its_limit_and_not_before_it(name: str) -> None:
    holds, does_not = CASES[name]
    (finding,) = told(holds, name)
    assert finding.severity >= 1.0
    assert 1 <= finding.since <= finding.step == len(holds)
    assert told(does_not, name) == []


@pytest.mark.parametrize("condition", CONDITIONS.values(), ids=lambda c: c.name)
def test_a_condition_says_what_it_means_what_to_change_and_where_its_limit_is_from(condition: Any) -> None:
    assert condition.means.endswith(".")
    assert condition.advice.endswith(".")
    assert condition.source
    assert all(isinstance(limit, int | float) for limit in condition.limits.values())
    assert {name: c.action for name, c in CONDITIONS.items() if c.action != "warn"} == {
        "not_finite": "stop", "reward_hacking": "stop",
    }  # fmt: skip


@pytest.mark.parametrize("length", [0, 1, 2, 5, 40])
def test_nothing_is_found_in_a_run_that_records_nothing_or_stands_still(length: int) -> None:
    still = {
        "loss": 1.0,
        "grad_norm": 0.5,
        "entropy": 1.0,
        "kl": 0.0,
        "completions/mean_length": 20.0,
        "eval/loss": 1.0,
    }
    for line in ({}, still):
        monitor = Monitor(MonitorSettings())
        assert [f for step in range(1, length + 1) for f in monitor.observe(step, line)] == []


# ---- what some of them know besides --------------------------------------------------------------------------------


def test_the_kl_of_a_response_is_that_of_its_tokens_times_their_number() -> None:
    (finding,) = told(columns(kl=[0.6] * 3, completions__mean_length=[100.0] * 3), "kl_drift")
    assert "is 60 nats a response" in finding.found
    assert finding.severity == pytest.approx(60 / 50)


@pytest.mark.parametrize(
    ("lines", "cause", "cure"),
    [
        ([same(1.0, 0, 0, 1, 1)] * 3, "all are wrong, with 0: the task is too hard", "SFT on worked answers"),
        ([same(1.0, 1, 1, 1, 1)] * 3, "all are right, with 1: the prompts are too easy", "harder prompts"),
        ([same(1.0, 0.5, 0.5, 1, 1)] * 3, "the reward is 0.5 whatever is said", "Look at the reward"),
        # It was 2 once: so 1 is not the best, and -1 the worst that was seen.
        ([same(0.1, -1, 2, 0, 0), *[same(1.0, -1, -1, 1, 1)] * 3], "all are wrong, with -1", "SFT"),
        ([same(0.1, -1, 2, 0, 0), *[same(1.0, 2, 2, 1, 1)] * 3], "all are right, with 2", "harder"),
        # One group in twenty still differs.
        ([same(0.95, 0, 1, 0.95, 0.0)] * 3, "all are wrong, with 0", "SFT"),
        ([same(0.95, 0, 1, 0.05, 0.9)] * 3, "all are right, with 1", "harder"),
        ([same(0.95, 0, 1, 0.45, 0.5)] * 3, "too easy and too hard ones are mixed", "Mix easier and harder"),
        (
            [same(1.0, 0, 0, 1, 1) | {"completions/clipped_ratio": 0.9}] * 3,
            "90% of them are cut at max_new_tokens", "Raise rollouts.max_new_tokens",
        ),
    ],
)  # fmt: skip
def test_groups_without_a_difference_have_a_cause_and_a_cure(lines: Lines, cause: str, cure: str) -> None:
    (finding,) = told(lines, "same_rewards")
    assert cause in finding.found
    assert cure in finding.advice


def test_single_samples_are_all_the_same_only_if_the_whole_batch_is() -> None:
    # PPO: groups of one have no spread, and no shares of those without.
    line = {"frac_reward_zero_std": 1.0, "reward/lowest": 0.0, "reward/highest": 1.0}
    assert told([line] * 5, "same_rewards") == []
    assert told([line | {"reward/highest": 0.0}] * 5, "same_rewards")


def test_hacking_is_not_proven_while_the_reward_falls_too() -> None:
    assert told(judged([2.0, 0.0], [1.0, 0.9], 0.1), "reward_hacking") == []
    (finding,) = told(judged([2.0, 0.0], [1.0, 1.1], 0.1), "reward_hacking")
    assert finding.action == "stop"
    assert finding.since == 2
    assert "the judge from 2 to 0" in finding.found


def test_a_policys_own_fresh_samples_may_be_told_apart_as_by_a_coin() -> None:
    seen = [0.4] * 21
    assert told(columns(rewards__accuracies=seen), "accuracy")
    assert told(columns(rewards__accuracies=seen, reward=[1.0] * 21), "accuracy") == []


def test_swapped_labels_are_suspected_where_training_data_are_told_right() -> None:
    (finding,) = told(columns(eval__rewards__accuracies=[0.1], rewards__accuracies=[0.9]), "accuracy")
    assert "On the training data it is 90%" in finding.advice
    assert "swapped" in finding.advice


@pytest.mark.parametrize("break_it", [lambda v: math.inf, lambda v: math.nan])
def test_a_number_that_is_none_is_found_when_it_comes_and_not_after(break_it: Callable[[float], float]) -> None:
    lines: Lines = [{"loss": 1.0}, {"loss": break_it(1.0)}]
    (finding,) = told(lines, "not_finite")
    assert (finding.action, finding.since) == ("stop", 2)
    assert told([*lines, {"loss": 1.0}], "not_finite") == []
