from __future__ import annotations

import math

import pytest

from truing.rewards.combine import constrained, ensembled, lexicographic, limits_of, normalised, weighted

NAN = math.nan


def test_normalised_values_have_mean_0_and_spread_1() -> None:
    assert normalised([1.0, 3.0]) == [-1.0, 1.0]
    assert normalised([1.0, 3.0, 10.0, 30.0], [0, 0, 1, 1]) == [-1.0, 1.0, -1.0, 1.0]


def test_values_that_do_not_differ_become_0_and_silence_stays_silence() -> None:
    assert normalised([5.0, 5.0]) == [0.0, 0.0]
    found = normalised([1.0, NAN, 3.0])
    assert found[0] == -1.0
    assert found[2] == 1.0
    assert math.isnan(found[1])
    assert math.isnan(normalised([NAN])[0])


def test_the_weighted_sum_is_over_those_that_speak() -> None:
    found = weighted([(1.0, [1.0, NAN, NAN]), (0.5, [4.0, 6.0, NAN])], 3)
    assert found[:2] == [3.0, 3.0]
    assert math.isnan(found[2])


def test_the_first_reward_decides_and_the_second_what_it_leaves_open() -> None:
    correct, brief = (1.0, [1.0, 1.0, 0.0]), (1.0, [0.0, 5.0, 9.0])
    assert lexicographic([correct, brief], [0, 0, 0]) == [0.5, 1.0, 0.0]
    assert lexicographic([brief, correct], [0, 0, 0]) == [0.0, 0.5, 1.0]


def test_rewards_within_the_tolerance_are_a_tie() -> None:
    first, second = (1.0, [0.50, 0.55]), (1.0, [2.0, 1.0])
    assert lexicographic([first, second], [0, 0]) == [0.0, 1.0]
    assert lexicographic([first, second], [0, 0], tolerance=0.1) == [1.0, 0.0]
    assert lexicographic([first], [0, 0], tolerance=0.1) == [0.5, 0.5]


def test_completions_are_compared_within_their_group_only() -> None:
    assert lexicographic([(1.0, [1.0, 2.0, 100.0])], [0, 0, 1]) == [0.0, 1.0, 0.5]


def test_a_negative_weight_turns_a_reward_round_and_silence_decides_nothing() -> None:
    assert lexicographic([(-1.0, [3.0, 4.0])], [0, 0]) == [1.0, 0.0]
    assert lexicographic([(1.0, [NAN, 9.0]), (1.0, [2.0, 1.0])], [0, 0]) == [1.0, 0.0]
    found = lexicographic([(1.0, [NAN, 9.0, 8.0])], [0, 0, 0])
    assert math.isnan(found[0])
    assert found[1:] == [1.0, 0.0]


def test_a_limited_reward_costs_below_its_threshold_and_earns_nothing_above() -> None:
    helpful, safe = (1.0, [5.0, 2.0, 2.0]), [0.2, 0.5, 0.9]
    assert constrained([helpful], [(safe, 0.5)], 3, penalty=20.0) == pytest.approx([5.0 - 20 * 0.3, 2.0, 2.0])


def test_a_limit_alone_still_says_which_are_outside() -> None:
    found = constrained([], [([0.0, 1.0, NAN], 0.5)], 3, penalty=2.0)
    assert found[0] == -1.0
    assert math.isnan(found[1])
    assert math.isnan(found[2])


def test_thresholds_part_the_rewards() -> None:
    parts = {"a": (1.0, [1.0]), "b": (2.0, [3.0])}
    assert limits_of(parts, {"b": 0.5}) == ([(1.0, [1.0])], [([3.0], 0.5)])


def test_an_ensemble_is_its_mean_its_worst_or_its_mean_less_its_spread() -> None:
    scores = [[1.0, 2.0], [3.0, 2.0]]
    assert ensembled(scores, "mean") == [2.0, 2.0]
    assert ensembled(scores, "worst") == [1.0, 2.0]
    assert ensembled(scores, "uncertainty") == [1.0, 2.0]
    assert ensembled(scores, "uncertainty", penalty=0.5) == [1.5, 2.0]
    assert ensembled([[], []], "worst") == []
