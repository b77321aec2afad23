from __future__ import annotations

import math

import pytest

from truing.experience.signs import length_correlation, mean_repetition, same_rewards

NAN = math.nan


def test_groups_without_a_difference_are_told_apart_by_where_they_lie() -> None:
    said = same_rewards([[0, 0], [0, 0], [1, 1], [0, 1]])
    assert said == {
        "reward/lowest": 0, "reward/highest": 1,
        "frac_reward_zero_std/lowest": 0.5, "frac_reward_zero_std/highest": 0.25,
    }  # fmt: skip


def test_groups_of_one_have_nothing_to_differ_from() -> None:
    assert same_rewards([[0.0], [2.0]]) == {"reward/lowest": 0, "reward/highest": 2}


def test_what_no_reward_speaks_of_does_not_count() -> None:
    assert same_rewards([[NAN, NAN]]) == {}
    assert same_rewards([[NAN, 1.0, 1.0], [0.0, 1.0, NAN]])["frac_reward_zero_std/highest"] == 0.5


def test_a_reward_that_is_length_correlates_with_it_by_one() -> None:
    assert length_correlation([[1, 2, 3]], [[10, 20, 30]]) == pytest.approx(1.0)
    assert length_correlation([[1, 2], [4, 3]], [[10, 20], [10, 20]]) == pytest.approx(0.0)
    assert length_correlation([[3, 2, 1]], [[10, 20, 30]]) == pytest.approx(-1.0)


def test_prompts_that_ask_for_long_answers_are_not_held_against_a_reward() -> None:
    # Across groups longer is better; within each it is worse.
    assert length_correlation([[1, 0], [9, 8]], [[1, 2], [100, 101]]) == pytest.approx(-1.0)


def test_nothing_varies_nothing_correlates() -> None:
    assert math.isnan(length_correlation([[1, 1]], [[1, 2]]))
    assert math.isnan(length_correlation([[NAN, 1]], [[1, 2]]))


def test_repetition_is_the_share_of_four_grams_said_before() -> None:
    # 1 2 1 2 1 2 has the 4-grams 1212 2121 1212: 1 - 2/3. Shorter than 4 has none.
    assert mean_repetition([[1, 2, 1, 2, 1, 2], [1, 2, 3]]) == pytest.approx(1 / 6)
