"""Rewards for length alone."""

from __future__ import annotations

from typing import Any

import pytest

from truing.errors import RecipeError
from truing.rewards.length import Length, Overlong, soft_overlong


def of(lengths: list[int], **settings: Any) -> list[float]:
    ids = [[1] * length for length in lengths]
    return Length(**settings)([""] * len(ids), [""] * len(ids), completion_ids=ids)


def test_between_two_lengths_it_is_1() -> None:
    assert of([0, 2, 3, 5, 6], least=3, most=5) == [0, 0, 1, 1, 0]


def test_slack_lets_it_fall_on_a_line() -> None:
    # 5 of 20 too many: 1 - 5/20
    assert of([10, 30, 45, 60, 65, 99], least=30, most=60, slack=20) == [0, 1, 1, 1, 0.75, 0]
    assert of([25], least=30, slack=20) == [0.75]


def test_a_target_is_both_ends() -> None:
    assert of([8, 10, 11], target=10, slack=4) == [0.5, 1, 0.75]
    assert of([0, 1], target=0) == [1, 0]


def test_words_and_characters_can_be_counted() -> None:
    ids = [[1, 2, 3, 4, 5]]
    assert Length(most=2, unit="words")([""], ["two words"], completion_ids=ids) == [1]
    assert Length(most=8, unit="characters")([""], ["two words"], completion_ids=ids) == [0]


@pytest.mark.parametrize(
    ("settings", "message"),
    [({}, "no length is said"), ({"least": 5, "most": 3}, "more than most"), ({"target": 5, "most": 9}, "target of 5")],
)
def test_lengths_that_mean_nothing_are_refused(settings: dict[str, int], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        Length(**settings)  # type: ignore[arg-type]


def test_the_overlong_penalty_is_equation_13_of_dapo() -> None:
    # the paper's 20480 and 4096: nothing up to 16384, half way at 18432
    lengths = [0, 16384, 18432, 20480, 20481, 99999]
    assert [soft_overlong(length, 20480, 4096) for length in lengths] == [0, 0, -0.5, -1, -1, -1]


def test_without_a_buffer_it_is_a_step() -> None:
    assert [soft_overlong(length, 10, 0) for length in (10, 11)] == [0, -1]


def test_overlong_counts_tokens() -> None:
    assert Overlong(max_length=8, buffer=4)(["", ""], ["", ""], completion_ids=[[1] * 4, [1] * 7]) == [0, -0.75]


def test_a_buffer_longer_than_the_whole_is_refused() -> None:
    with pytest.raises(RecipeError, match="buffer = 9 is more than max_length = 8"):
        Overlong(max_length=8, buffer=9)
