"""Intervals against published numbers and SciPy's own."""

import math
import random

import numpy as np
import pytest
from scipy import stats

from truing.evaluate.intervals import Interval, apart, bootstrap, mean, paired_difference, proportion, win_share


def ends(interval: Interval) -> tuple[float, float]:
    return interval.low, interval.high


def test_wilson_for_8_of_10_is_the_published_interval() -> None:
    assert ends(proportion(8, 10)) == pytest.approx((0.4901625, 0.9433178), abs=1e-6)


@pytest.mark.parametrize(("wins", "n"), [(0, 10), (1, 7), (5, 10), (81, 250), (10, 10), (1, 1)])
def test_wilson_agrees_with_scipy(wins: int, n: int) -> None:
    theirs = stats.binomtest(wins, n).proportion_ci(method="wilson")
    assert ends(proportion(wins, n)) == pytest.approx((theirs.low, theirs.high), abs=1e-9)


def test_none_of_ten_is_not_certainly_none() -> None:
    assert proportion(0, 10).low == 0.0
    assert proportion(0, 10).high == pytest.approx(0.2775, abs=1e-4)
    assert proportion(10, 10).high == 1.0


def test_a_share_of_nothing_is_unknown() -> None:
    nothing = proportion(0, 0)
    assert math.isnan(nothing.value)
    assert ends(nothing) == (0.0, 1.0)


def test_more_than_all_is_refused() -> None:
    with pytest.raises(ValueError, match="11 of 10 is no proportion"):
        proportion(11, 10)


def test_student_t_by_hand() -> None:
    """1, 2, 3: mean 2, s = 1, t(2; 0.975) = 4.30265, half width 4.30265 / √3 = 2.48414."""
    assert mean([1.0, 2.0, 3.0]).value == 2.0
    assert ends(mean([1.0, 2.0, 3.0])) == pytest.approx((2 - 2.48414, 2 + 2.48414), abs=1e-5)


def test_student_t_agrees_with_scipy() -> None:
    values = [random.Random(i).gauss(3, 2) for i in range(41)]
    theirs = stats.ttest_1samp(values, 0).confidence_interval(0.9)
    assert ends(mean(values, level=0.9)) == pytest.approx((theirs.low, theirs.high))


def test_one_value_has_an_interval_without_bounds_and_none_has_no_mean() -> None:
    assert mean([3.0]) == Interval(3.0, -math.inf, math.inf, 1)
    assert math.isnan(mean([]).value)


def test_a_value_that_is_nan_is_named() -> None:
    with pytest.raises(ValueError, match="value 1 of 2 is nan"):
        mean([1.0, math.nan])


def test_pairing_takes_out_what_is_hard_for_both() -> None:
    theirs = [float(10 * i) for i in range(10)]
    ours = [b + 1 + (-0.1) ** (i % 2 + 1) for i, b in enumerate(theirs)]
    agreed = stats.ttest_rel(ours, theirs).confidence_interval()
    assert ends(paired_difference(ours, theirs)) == pytest.approx((agreed.low, agreed.high))
    assert paired_difference(ours, theirs).low > 0.8
    assert not apart(mean(theirs), mean(ours))


def test_pairs_of_unequal_length_are_refused() -> None:
    with pytest.raises(ValueError, match="shorter"):
        paired_difference([1.0, 2.0], [1.0])


def test_a_win_share_without_ties_is_wilson() -> None:
    assert win_share(8, 0, 2) == proportion(8, 10)


def test_ties_count_half_and_narrow_the_interval_but_never_to_nothing() -> None:
    tied, split = win_share(20, 60, 20), win_share(50, 0, 50)
    assert tied.value == split.value == 0.5
    assert split.low < tied.low < 0.5 < tied.high < split.high
    assert ends(win_share(0, 5, 0)) == pytest.approx((1 - win_share(0, 5, 0).high, win_share(0, 5, 0).high))
    assert win_share(0, 5, 0).low < 0.4


def test_the_tied_interval_solves_its_equation() -> None:
    wins, ties, losses, z = 12, 6, 22, stats.norm.ppf(0.975)
    interval = win_share(wins, ties, losses)
    assert interval.value == 15 / 40
    for p in ends(interval):
        tied = 6 / (40 + z**2)
        assert (15 / 40 - p) ** 2 == pytest.approx(z**2 / 40 * (p * (1 - p) - tied / 4))


@pytest.mark.parametrize(("win", "tie"), [(0.5, 0.0), (0.7, 0.2), (0.45, 0.5), (0.05, 0.9), (0.9, 0.05)])
def test_the_win_interval_holds_the_truth_in_95_of_100_studies_or_a_few_more(win: float, tie: float) -> None:
    truth, rng, held = win + tie / 2, random.Random(1), 0
    for _ in range(2000):
        said = rng.choices((0, 1, 2), (win, tie, 1 - win - tie), k=60)
        held += truth in win_share(said.count(0), said.count(1), said.count(2))
    assert 0.93 <= held / 2000 <= 0.99


def test_apart_is_stricter_than_a_difference() -> None:
    low, mid, high = Interval(0, -1, 1, 9), Interval(1.5, 0.9, 2, 9), Interval(3, 2.5, 4, 9)
    assert apart(low, high)
    assert apart(mid, high)
    assert not apart(low, mid)
    assert not apart(high, low)


def test_bootstrap_of_a_share_is_about_wilsons_interval() -> None:
    # 81 of 250: the units are alike but for won or not.
    found = bootstrap(lambda counts: counts[:, 1] / counts.sum(1), [169, 81])
    wilson = proportion(81, 250)
    assert found.value == 81 / 250
    assert found.n == 250
    assert ends(found) == pytest.approx(ends(wilson), abs=0.012)
    assert found == bootstrap(lambda counts: counts[:, 1] / counts.sum(1), [169, 81])
    # Little memory a time, the same numbers.
    assert found == bootstrap(lambda counts: counts[:, 1] / counts.sum(1), [169, 81], width=1 << 20)


def test_bootstrap_claims_nothing_from_one_unit_or_where_the_number_often_does_not_exist() -> None:
    assert ends(bootstrap(lambda counts: counts[:, 0], [1], bounds=(0, 1))) == (0, 1)
    # 1 of 2 units: a quarter of the resamples have none of the second, and no ratio.
    made = bootstrap(lambda counts: np.where(counts[:, 1] > 0, 1.0, np.nan), [1, 1])
    assert (made.value, made.low, made.high) == (1.0, -math.inf, math.inf)
    assert math.isnan(bootstrap(lambda counts: counts[:, 0], []).value)
