"""Win rates from scores and from verdicts."""

import math

import pytest

from truing.evaluate.winrate import WinRate, both_orders, verdicts, win_rate, win_rate_of


def test_eight_wins_and_two_losses() -> None:
    rate = win_rate([1.0] * 8 + [0.0] * 2, [0.5] * 10)
    assert (rate.rate, rate.wins, rate.ties, rate.losses, rate.n) == (0.8, 8, 0, 2, 10)
    assert (rate.low, rate.high) == pytest.approx((0.4902, 0.9433), abs=1e-4)
    assert rate.interval.value == 0.8


def test_a_tie_is_half_a_win_and_a_wider_tie_makes_more_of_them() -> None:
    ours, theirs = [1.0, 1.0, 0.0, 0.3], [1.0, 0.0, 1.0, 0.2]
    assert verdicts(ours, theirs) == ["tie", "win", "loss", "win"]
    assert win_rate(ours, theirs).rate == 2.5 / 4
    assert win_rate(ours, theirs, tie=0.25).ties == 2


def test_swapping_the_sides_mirrors_the_rate() -> None:
    ours, theirs = [0.1, 0.5, 0.5, 0.9, 0.8], [0.4, 0.5, 0.1, 0.2, 0.3]
    a, b = win_rate(ours, theirs), win_rate(theirs, ours)
    assert (a.rate, a.low, a.high) == pytest.approx((1 - b.rate, 1 - b.high, 1 - b.low))


def test_a_model_against_itself_ties_everywhere() -> None:
    scores = [0.1, math.inf, -3.0]
    assert win_rate(scores, scores).ties == 3


def test_nan_is_no_tie() -> None:
    with pytest.raises(ValueError, match="prompt 1 has the scores nan and"):
        win_rate([1.0, math.nan], [0.5, 0.5])


def test_lists_of_unequal_length_are_refused() -> None:
    with pytest.raises(ValueError, match="shorter"):
        win_rate([1.0], [])


def test_no_prompt_at_all_has_no_rate() -> None:
    rate = win_rate([], [])
    assert math.isnan(rate.rate)
    assert (rate.low, rate.high, rate.n) == (0.0, 1.0, 0)


def test_verdicts_are_counted_and_other_words_refused() -> None:
    assert win_rate_of(["win", "win", "tie", "loss"]) == WinRate(
        0.625, *_ends(win_rate([2, 2, 1, 0], [1, 1, 1, 1])), 2, 1, 1, 4
    )
    with pytest.raises(ValueError, match="'draw' is no verdict"):
        win_rate_of(["win", "draw"])  # type: ignore[list-item]


def test_a_judge_who_changes_sides_with_the_order_ties() -> None:
    assert both_orders("win", "win") == "win"
    assert both_orders("win", "loss") == "tie"
    assert both_orders("tie", "loss") == "tie"


def _ends(rate: WinRate) -> tuple[float, float]:
    return rate.low, rate.high
