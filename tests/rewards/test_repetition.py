"""Saying the same thing again."""

from __future__ import annotations

import time

import pytest

from truing.rewards.repetition import repeated_share, repetition


def test_it_is_one_minus_the_share_of_distinct_n_grams() -> None:
    assert repeated_share("ababab", 2) == pytest.approx(1 - 2 / 5), "ab ba ab ba ab"
    assert repeated_share("abcdef", 2) == 0
    assert repeated_share("aaaa", 1) == 0.75


def test_less_than_one_n_gram_repeats_nothing() -> None:
    assert repeated_share("abc", 4) == 0
    assert repeated_share("", 1) == 0


def test_the_reward_is_a_penalty_on_tokens_or_words() -> None:
    ids = [[1, 2, 1, 2, 1, 2], [1, 2, 3, 4, 5, 6]]
    assert repetition(["", ""], ["", ""], completion_ids=ids, n=2) == [pytest.approx(-0.6), 0]
    assert repetition([""], ["No no NO"], completion_ids=[[1, 2, 3]], n=1, unit="words") == [pytest.approx(-2 / 3)]


def test_a_hundred_thousand_tokens_are_counted_in_no_time() -> None:
    start = time.process_time()
    assert repetition([""], [""], completion_ids=[[7] * 100_000])[0] < -0.999
    assert time.process_time() - start < 1
