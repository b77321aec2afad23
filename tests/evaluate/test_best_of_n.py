from __future__ import annotations

import itertools
import math
import random
import statistics

import pytest

from truing.evaluate.best_of_n import curve, exact_kl, expected_best, kl_bound, powers, weights


def test_the_bound_is_log_n_less_n_minus_1_over_n() -> None:
    assert kl_bound(1) == 0
    assert kl_bound(2) == pytest.approx(math.log(2) - 0.5)
    assert kl_bound(16) == pytest.approx(2.7726 - 0.9375, abs=1e-4)


def test_the_best_of_two_of_three_samples_is_the_mean_over_the_three_pairs() -> None:
    # Pairs of 1, 2, 6: bests 2, 6, 6.
    assert expected_best([6.0, 1.0, 2.0], 2) == pytest.approx(14 / 3)
    assert weights([6.0, 1.0, 2.0], 2) == pytest.approx([2 / 3, 0, 1 / 3])
    assert expected_best([6.0, 1.0, 2.0], 1) == pytest.approx(3)
    assert expected_best([6.0, 1.0, 2.0], 3) == 6


def test_samples_that_are_worth_the_same_are_equally_probable() -> None:
    # Of 0, 1, 1: the best of two is always a 1, either with the same chance.
    assert weights([1.0, 0.0, 1.0], 2) == pytest.approx([0.5, 0, 0.5])
    assert expected_best([1.0, 0.0, 1.0], 2, [10.0, 0.0, 20.0]) == pytest.approx(15)
    assert weights([3.0] * 4, 3) == pytest.approx([0.25] * 4)


@pytest.mark.parametrize("n", [1, 2, 3, 5])
def test_it_is_the_mean_over_all_subsets(n: int) -> None:
    rng = random.Random(0)
    rewards = [rng.choice([0.0, 1.0, 2.0, 3.5]) for _ in range(6)]
    values = [rng.random() for _ in range(6)]
    subsets = list(itertools.combinations(range(6), n))

    def chosen(subset: tuple[int, ...]) -> float:
        best = max(rewards[i] for i in subset)
        return statistics.fmean(values[i] for i in subset if rewards[i] == best)

    assert expected_best(rewards, n, values) == pytest.approx(statistics.fmean(map(chosen, subsets)))
    assert sum(weights(rewards, n)) == pytest.approx(1)


def test_the_estimate_has_no_bias() -> None:
    # The best of 4 uniform numbers is 4/5 on average; the mean of 4,000 estimates has a standard error of 0.0015.
    rng = random.Random(1)
    estimates = [expected_best([rng.random() for _ in range(8)], 4) for _ in range(4000)]
    assert statistics.fmean(estimates) == pytest.approx(0.8, abs=0.006)


def test_a_coin_is_at_most_log_2_from_itself_however_large_n_is() -> None:
    # The paper's counterexample: two responses of probability 1/2.
    assert exact_kl([0.5, 0.5], [0.0, 1.0], 2) == pytest.approx(0.25 * math.log(0.5) + 0.75 * math.log(1.5))
    assert exact_kl([0.5, 0.5], [0.0, 1.0], 1000) == pytest.approx(math.log(2))
    assert kl_bound(1000) > 5.9


def test_responses_that_are_worth_the_same_do_not_move_the_model() -> None:
    assert exact_kl([0.2, 0.3, 0.5], [1.0, 1.0, 1.0], 8) == pytest.approx(0, abs=1e-12)
    # Two of one level are as one response with both probabilities.
    assert exact_kl([0.2, 0.3, 0.5], [1.0, 1.0, 2.0], 4) == pytest.approx(exact_kl([0.5, 0.5], [1.0, 2.0], 4))


@pytest.mark.parametrize("n", [1, 2, 4, 16, 64])
def test_the_exact_kl_stays_under_the_bound_and_meets_it_without_ties_and_large_probabilities(n: int) -> None:
    rng = random.Random(n)
    for size in (2, 5, 30):
        raw = [rng.random() ** 3 for _ in range(size)]
        probabilities = [p / sum(raw) for p in raw]
        rewards = [rng.random() for _ in range(size)]
        assert exact_kl(probabilities, rewards, n) <= kl_bound(n) + 1e-9
    many = 50_000
    fine = exact_kl([1 / many] * many, list(map(float, range(many))), n)
    assert fine == pytest.approx(kl_bound(n), abs=2e-3)
    assert fine <= kl_bound(n) + 1e-9


def test_the_exact_kl_is_that_of_the_enumerated_draws() -> None:
    probabilities, rewards, n = [0.1, 0.2, 0.3, 0.4], [2.0, 0.0, 3.0, 1.0], 3
    best = dict.fromkeys(range(4), 0.0)
    for draw in itertools.product(range(4), repeat=n):
        best[max(draw, key=lambda i: rewards[i])] += math.prod(probabilities[i] for i in draw)
    kl = sum(q * math.log(q / probabilities[i]) for i, q in best.items())
    assert exact_kl(probabilities, rewards, n) == pytest.approx(kl)


def test_a_curve_has_a_point_for_each_power_of_two_with_intervals_over_prompts() -> None:
    points = curve([[0.0, 1.0, 2.0, 3.0], [0.0, 0.0, 0.0, 4.0]], [[1.0, 1.0, 1.0, 1.0], [0.0, 0.0, 0.0, -2.0]])
    assert [p.n for p in points] == [1, 2, 4]
    assert [p.reward.value for p in points] == pytest.approx([1.25, (14 / 6 + 12 / 6) / 2, 3.5])
    assert points[2].reward.value == 3.5
    assert points[2].value is not None
    assert points[2].value.value == -0.5, "the judge loses where the reward gains"
    assert points[2].reward.n == 2
    assert powers(12) == [1, 2, 4, 8, 12]
