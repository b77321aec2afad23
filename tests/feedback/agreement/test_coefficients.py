"""Agreement by hand, as published, and as other libraries computed it (scikit-learn 1.9, statsmodels 0.15,
krippendorff 0.9, irrCAC 0.4.4: run once, their numbers written down here)."""

from __future__ import annotations

import math
from itertools import combinations

import numpy as np
import pytest

from truing.feedback.agreement import cohen_kappa, fleiss_kappa, krippendorff_alpha, percent_agreement
from truing.feedback.agreement.coefficients import Level

N = None

# Krippendorff 2011, section C: four observers, twelve units, some not judged.
OBSERVERS = (
    (1, 2, 3, 3, 2, 1, 4, 1, 2, N, N, N),
    (1, 2, 3, 3, 2, 2, 4, 1, 2, 5, N, 3),
    (N, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, N),
    (1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, N),
)
UNITS = list(zip(*OBSERVERS, strict=True))

# Fleiss 1971, table 1: 30 patients, 6 psychiatrists each, 5 diagnoses; how many gave each.
DIAGNOSES = (
    "00060 03003 01401 00006 03030 20400 00402 20310 20040 00006 10050 11040 03300 10050 02031 "
    "00501 30012 51000 02040 10203 00006 01050 02013 20040 10041 05010 40002 02040 10500 00006"
)

# 14 raters, 10 subjects, 5 categories: the worked example of "Fleiss' kappa" in Wikipedia.
SUBJECTS = ((0, 0, 0, 0, 14), (0, 2, 6, 4, 2), (0, 0, 3, 5, 6), (0, 3, 9, 2, 0), (2, 2, 8, 1, 1), (7, 7, 0, 0, 0),
            (3, 2, 6, 3, 0), (2, 5, 3, 2, 2), (6, 5, 2, 1, 0), (0, 2, 2, 3, 7))  # fmt: skip


def spelt_out(counts: tuple[int, ...]) -> list[int]:
    """How often each was said -> the ratings."""
    return [category for category, times in enumerate(counts) for _ in range(times)]


# ---- percent ----


def test_percent_is_the_mean_over_items_of_the_pairs_that_agree() -> None:
    # 1 of 1 pair, 1 of 3 pairs, and one rating that no other can agree with.
    found = percent_agreement([["a", "a"], ["a", "a", "b"], ["b"]])
    assert found.value == pytest.approx((1 + 1 / 3) / 2)
    assert found.interval.n == 2


# ---- Cohen ----


def test_cohens_kappa_of_50_grants_is_0_4() -> None:
    # Both yes 20, first yes 5, second yes 10, both no 15: P_o = 0.7, P_e = 0.5 · 0.6 + 0.5 · 0.4 = 0.5.
    first = ["yes"] * 25 + ["no"] * 25
    second = ["yes"] * 20 + ["no"] * 5 + ["yes"] * 10 + ["no"] * 15
    found = cohen_kappa(first, second)
    assert found.value == pytest.approx(0.4)
    assert found.low < 0.4 < found.high
    assert found.interval.n == 50


def test_weighted_kappa_by_hand() -> None:
    # p: (1,1) (1,2) (2,2) (3,1), a quarter each. Rows 1/2 1/4 1/4, columns 1/2 1/2 0.
    first, second = [1, 1, 2, 3], [1, 2, 2, 1]
    # Linear: seen (1 + 2)/4; by chance 1/2·1/2·1 + 1/4·1/2·1 + 1/4·(1/2·2 + 1/2·1) = 3/4.
    assert cohen_kappa(first, second, weights="linear").value == pytest.approx(0.0)
    # Quadratic: seen (1 + 4)/4; by chance 1/4 + 1/8 + 1/4·(1/2·4 + 1/2·1) = 1.
    assert cohen_kappa(first, second, weights="quadratic").value == pytest.approx(-0.25)
    # Two who differ once by one step of five differ by little, and by more where the steps in between do not count.
    one, other = [1, 5, 5, 1], [1, 5, 4, 1]
    skipped = cohen_kappa(one, other, weights="linear").value
    assert cohen_kappa(one, other, weights="linear", categories=[1, 2, 3, 4, 5]).value > skipped


def test_cohen_as_scikit_learn_computes_it() -> None:
    first = [3, 0, 1, 2, 2, 0, 3, 1, 1, 0, 2, 3, 0, 0, 1, 2]
    second = [3, 0, 2, 2, 1, 0, 2, 1, 1, 1, 2, 3, 0, 3, 1, 2]
    # sklearn.metrics.cohen_kappa_score(first, second, weights=None / "linear" / "quadratic")
    assert cohen_kappa(first, second).value == pytest.approx(0.5833333333, abs=1e-9)
    assert cohen_kappa(first, second, weights="linear").value == pytest.approx(0.6315789474, abs=1e-9)
    assert cohen_kappa(first, second, weights="quadratic").value == pytest.approx(0.6388888889, abs=1e-9)


def test_a_missing_rating_leaves_the_item_out_of_cohen() -> None:
    assert cohen_kappa([1, 2, N, 1], [1, 2, 1, N]).interval.n == 2
    found = cohen_kappa([1, N], [N, 1])
    assert math.isnan(found.value)
    assert found.why == "no item was judged by both"


def test_a_category_that_is_not_on_the_list_is_refused() -> None:
    with pytest.raises(ValueError, match="9 was said, and the categories are"):
        cohen_kappa([1, 9], [1, 2], categories=[1, 2])


# ---- Fleiss ----


def test_fleiss_1971_is_430_and_the_worked_example_210() -> None:
    patients = [spelt_out(tuple(map(int, row))) for row in DIAGNOSES.split()]
    assert len(patients) == 30
    assert all(len(row) == 6 for row in patients)
    assert [sum(row.count(j) for row in patients) for j in range(5)] == [26, 26, 30, 55, 43]
    assert percent_agreement(patients).value == pytest.approx(0.5556, abs=1e-4)
    assert fleiss_kappa(patients).value == pytest.approx(0.430, abs=5e-4)
    assert fleiss_kappa(patients).value == pytest.approx(0.4302445201, abs=1e-9)  # statsmodels
    assert fleiss_kappa([spelt_out(row) for row in SUBJECTS]).value == pytest.approx(0.2099307044, abs=1e-9)


def test_fleiss_with_varying_numbers_is_gwets() -> None:
    assert fleiss_kappa(UNITS).value == pytest.approx(0.76117, abs=5e-6)  # irrCAC
    # By hand: P = (1 + 0)/2 of the two items with two; p_a = (1 + 1/2 + 0)/3 = 1/2, so P_e = 1/2.
    assert fleiss_kappa([["a", "a"], ["a", "b"], ["b"]]).value == pytest.approx(0.0)


# ---- Krippendorff ----


@pytest.mark.parametrize(
    ("level", "published", "exact"),
    [("nominal", 0.743, 0.743421052632), ("ordinal", 0.815, 0.815387503755), ("interval", 0.849, 0.849107142857)],
)
def test_krippendorffs_example_gives_his_numbers(level: Level, published: float, exact: float) -> None:
    found = krippendorff_alpha(UNITS, level=level)
    assert found.value == pytest.approx(published, abs=5e-4)
    assert found.value == pytest.approx(exact, abs=1e-11)
    assert found.interval.n == 11  # of the twelve one was judged by one observer only
    assert found.low < found.value < found.high


def by_definition(units: list[list[float]]) -> float:
    """Interval alpha as the double sums say it."""
    units = [u for u in units if len(u) > 1]
    every = [v for u in units for v in u]
    n = len(every)
    observed = sum(2 * (a - b) ** 2 / (len(u) - 1) for u in units for a, b in combinations(u, 2)) / n
    expected = sum(2 * (a - b) ** 2 for a, b in combinations(every, 2)) / (n * (n - 1))
    return 1 - observed / expected


def test_interval_alpha_is_its_double_sums_and_knows_no_unit() -> None:
    rng = np.random.default_rng(3)
    units = [[float(v) for v in rng.normal(i % 4, 0.5, size=1 + i % 4)] for i in range(30)]
    expected = by_definition(units)
    assert krippendorff_alpha(units, level="interval").value == pytest.approx(expected, abs=1e-12)
    for scale, shift in ((1e-9, 0.0), (1e12, 5.0), (1.0, 1e7)):
        moved = [[scale * v + shift for v in u] for u in units]
        assert krippendorff_alpha(moved, level="interval").value == pytest.approx(expected, abs=1e-6)


def test_ordinal_alpha_sees_order_only() -> None:
    stretched = [[None if v is None else v**3 for v in row] for row in UNITS]
    assert krippendorff_alpha(stretched, level="ordinal").value == krippendorff_alpha(UNITS, level="ordinal").value
    assert krippendorff_alpha(stretched, level="interval").value != krippendorff_alpha(UNITS, level="interval").value


# ---- where there is no number ----


def test_one_category_only_is_no_agreement_beyond_chance() -> None:
    for found in (
        cohen_kappa(["a", "a"], ["a", "a"]),
        fleiss_kappa([["a", "a"]]),
        krippendorff_alpha([["a", "a"]] * 9),
    ):
        assert math.isnan(found.value)
        assert (found.low, found.high) == (-1.0, 1.0)
        assert found.why == "all ratings are the same, and chance alone agrees as often"
        assert found.reaches(0.6) is None
    assert percent_agreement([["a", "a"]]).value == 1.0


def test_one_rater_agrees_with_nobody() -> None:
    for found in (percent_agreement([["a"], ["b"]]), fleiss_kappa([["a"], ["b"]]), krippendorff_alpha([["a"], [N]])):
        assert math.isnan(found.value)
        assert found.why == "no item was judged by two"
    assert fleiss_kappa([]).why == "no item was judged by two"


def test_always_saying_the_same_is_kappa_0_and_not_undefined() -> None:
    assert cohen_kappa(["a", "a", "a", "a"], ["a", "b", "a", "b"]).value == pytest.approx(0.0)


def test_one_item_has_no_spread_to_judge_by() -> None:
    found = krippendorff_alpha([[1, 2, 1]])
    assert (found.low, found.high) == (-1.0, 1.0)


# ---- intervals ----


def test_intervals_hold_the_truth_about_95_times_in_100() -> None:
    # Two annotators who each see the truth (a coin) with 0.9: κ = 2 · 0.82 − 1 = 0.64.
    rng = np.random.default_rng(0)
    held = 0
    for _ in range(150):
        truth = rng.random(120) < 0.5
        first, second = (np.where(rng.random(120) < 0.9, truth, ~truth).tolist() for _ in range(2))
        found = cohen_kappa(first, second)
        held += found.low <= 0.64 <= found.high
    assert 0.88 <= held / 150 <= 0.99


def test_the_interval_is_the_same_each_time_and_in_any_order_of_items() -> None:
    assert fleiss_kappa(UNITS) == fleiss_kappa(UNITS[::-1])
    assert krippendorff_alpha(UNITS) == krippendorff_alpha([row[::-1] for row in UNITS])


def test_items_that_come_of_one_thing_are_resampled_together() -> None:
    # Ten answers of twenty steps each; the two agree on all steps of an answer or on none.
    items = [(s % 2, (s + answer % 2) % 2) for answer in range(10) for s in range(20)]
    answers = [answer for answer in range(10) for _ in range(20)]
    apart, together = krippendorff_alpha(items), krippendorff_alpha(items, clusters=answers)
    assert together.value == apart.value
    assert together.interval.n == 10
    assert together.high - together.low > 3 * (apart.high - apart.low)


def test_words_and_numbers_may_stand_side_by_side() -> None:
    assert krippendorff_alpha([["a", 1], ["a", "a"], [1, 1]]).value == pytest.approx(1 - (2 / 6) / (18 / 30))
