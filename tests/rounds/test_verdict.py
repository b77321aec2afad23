from __future__ import annotations

import json
from typing import Any

import pytest

from truing.rounds.verdict import Evaluation, decide
from truing.settings import RoundsSettings


def _of(number: int, rewards: list[float | None], kl: float = 0.0) -> Evaluation:
    return Evaluation(number, f"m{number}", rewards, [kl, kl], 10.0, 1.0)


def _settings(**said: Any) -> RoundsSettings:
    return RoundsSettings.model_validate(said)


FIRST = _of(0, [0.0, 1.0, 2.0, 3.0])
BETTER = _of(1, [1.0, 2.1, 2.9, 4.0], kl=2.0)  # + 1, 1.1, 0.9, 1: certainly better
SAME = _of(2, [1.5, 1.6, 3.4, 3.5], kl=3.0)  # + 0.5, -0.5, 0.5, -0.5 to BETTER
WORSE = _of(2, [0.0, 1.0, 1.9, 3.0], kl=3.0)


def test_the_first_model_is_what_there_is_before_the_first_round() -> None:
    verdict = decide([FIRST], _settings())
    assert (verdict.best, verdict.stop) == (0, None)


def test_a_round_that_is_surely_better_goes_on_and_is_kept() -> None:
    verdict = decide([FIRST, BETTER], _settings())
    assert (verdict.best, verdict.stop) == (1, None)
    assert verdict.kept.startswith("model/ is round 1's")
    gain = BETTER.above(FIRST)
    # The mean of 1, 1.1, 0.9, 1 and t(3) = 3.182 standard errors of 0.0816 / 2.
    assert (gain.value, gain.low) == pytest.approx((1.0, 1 - 3.182 * 0.08165 / 2), abs=1e-3)


def test_a_round_that_may_be_no_better_ends_it_unless_only_worse_ones_may() -> None:
    said = [FIRST, BETTER, SAME]
    verdict = decide(said, _settings())
    assert verdict.best == 1
    assert verdict.stop is not None
    assert "round 2 is not surely better, +0.00 [-0.92, +0.92] against round 1" in verdict.stop
    assert decide(said, _settings(stop_when="worse")).stop is None
    worse = decide([FIRST, BETTER, WORSE], _settings(stop_when="worse"))
    assert worse.best == 1
    assert worse.stop is not None
    assert "round 2 is worse" in worse.stop
    assert decide([FIRST, BETTER, WORSE], _settings(stop_when="never")).stop is None


def test_a_tie_goes_to_the_earlier_model() -> None:
    higher = _of(2, [1.5, 1.7, 3.4, 3.6], kl=9.0)  # + 0.05 on average
    verdict = decide([FIRST, BETTER, higher], _settings(stop_when="never"))
    assert (verdict.best, verdict.stop) == (1, None)


def test_a_round_is_compared_with_the_best_so_far_and_not_with_the_last() -> None:
    between = _of(3, [0.5, 1.6, 2.4, 3.5], kl=3.0)  # above WORSE, below BETTER
    assert decide([FIRST, BETTER, WORSE, between], _settings()).stop is not None


def test_a_model_that_went_too_far_ends_it_and_is_not_kept() -> None:
    verdict = decide([FIRST, BETTER], _settings(max_kl=1.5, stop_when="never"))
    assert verdict.best == 0
    assert verdict.stop == "stopped: round 1 is 2.00 nats from the first model, more than rounds.max_kl = 1.5"
    assert "that the rounds began with" in verdict.kept


def test_prompts_that_no_reward_spoke_of_in_either_model_are_left_out_of_the_comparison() -> None:
    a, b = _of(0, [0.0, None, 2.0]), _of(1, [1.0, 5.0, None])
    assert (b.above(a).value, b.above(a).n) == (1.0, 1)
    assert a.reward.value == 1.0


def test_an_evaluation_survives_being_written_and_read() -> None:
    again = Evaluation.of(json.loads(json.dumps(BETTER.data())))
    assert again == BETTER
    line = BETTER.metrics([FIRST])
    assert line["step"] == 1
    assert line["gain_over_first"] == pytest.approx(1.0)
    assert line["win_rate_over_last"] == 1.0
    assert line["kl"] == 2.0
