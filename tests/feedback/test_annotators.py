"""Models of annotators recover what made the votes."""

from __future__ import annotations

from itertools import pairwise

import numpy as np
import pytest

from truing.feedback.annotators import bradley_terry, dawid_skene

# ---- Dawid-Skene ----


def test_one_step_of_dawid_skene_is_the_one_by_hand() -> None:
    # Two items, three annotators, two classes. Item 0: 0 0 1, item 1: 1 1 1.
    votes = [(0, 0, 0), (0, 1, 0), (0, 2, 1), (1, 0, 1), (1, 1, 1), (1, 2, 1)]
    made = dawid_skene(votes, 2, smoothing=0.0, max_iterations=1)
    # By the shares: P(item 0 is class 1) = 1/3, P(item 1 is class 1) = 1. So the prior is (1/3, 2/3).
    assert made.prior == pytest.approx([1 / 3, 2 / 3])
    # Annotator 0: of true 0 they always said 0; of true 1 (weights 1/3 and 1) 0 with 1/4, 1 with 3/4.
    assert made.confusion[0] == pytest.approx(np.array([[1, 0], [1 / 4, 3 / 4]]))
    assert made.confusion[1] == pytest.approx(made.confusion[0])
    # Annotator 2 said 1 to both.
    assert made.confusion[2] == pytest.approx(np.array([[0, 1], [0, 1]]))
    # Item 0: class 0: 1/3 · 1 · 1 · 1; class 1: 2/3 · 1/4 · 1/4 · 1 = 1/24. Together 9/24, so class 0 has 8/9.
    assert made.posterior[0] == pytest.approx([8 / 9, 1 / 9])
    # Item 1: class 0: 1/3 · 0 · 0 · 1 = 0; class 1: 2/3 · 3/4 · 3/4 · 1 = 3/8.
    assert made.posterior[1] == pytest.approx([0, 1])
    assert made.log_likelihood == pytest.approx(np.log(9 / 24) + np.log(3 / 8))


def test_dawid_skene_recovers_the_confusions_that_made_the_votes() -> None:
    rng = np.random.default_rng(0)
    confusion = np.array([[[0.95, 0.05], [0.1, 0.9]], [[0.7, 0.3], [0.2, 0.8]], [[0.9, 0.1], [0.6, 0.4]],
                          [[0.85, 0.15], [0.25, 0.75]], [[0.1, 0.9], [0.8, 0.2]]])  # fmt: skip
    truth = (rng.random(3000) < 0.4).astype(int)
    votes = [(i, a, int(rng.random() < confusion[a, truth[i], 1])) for i in range(3000) for a in range(5)]
    made = dawid_skene(votes, 2)
    assert np.abs(made.confusion - confusion).max() < 0.05
    assert made.prior == pytest.approx([0.6, 0.4], abs=0.03)
    by_model = (made.posterior.argmax(1) == truth).mean()
    by_majority = (np.array([v for _, _, v in votes]).reshape(3000, 5).mean(1).round() == truth).mean()
    # The last annotator says the contrary of what they see, and the model has found that out.
    assert by_model > 0.92
    assert by_model > by_majority + 0.08


def test_likelihood_never_falls_and_what_nobody_said_is_as_likely_as_the_prior() -> None:
    votes = [(0, 0, 0), (0, 1, 0), (2, 0, 1), (2, 1, 0), (3, 0, 1), (3, 1, 1)]
    likelihoods = [dawid_skene(votes, 2, smoothing=0.0, max_iterations=n).log_likelihood for n in range(1, 12)]
    assert all(after >= before - 1e-12 for before, after in pairwise(likelihoods))
    made = dawid_skene(votes, 2)
    assert made.posterior[1] == pytest.approx(made.prior, abs=1e-3)
    assert np.isfinite(made.posterior).all()


def test_no_votes_and_an_unknown_class_are_refused() -> None:
    with pytest.raises(ValueError, match="no votes"):
        dawid_skene([], 2)
    with pytest.raises(ValueError, match="class 2 of 2"):
        dawid_skene([(0, 0, 2)], 2)


# ---- Bradley-Terry with reliability ----


def test_bradley_terry_recovers_scores_and_who_can_be_trusted() -> None:
    rng = np.random.default_rng(1)
    scores = np.linspace(-2, 2, 12)
    reliability = np.array([0.98, 0.9, 0.75, 0.5, 0.1])
    comparisons = []
    for annotator, eta in enumerate(reliability):
        for _ in range(800):
            i, j = rng.choice(12, 2, replace=False)
            first = rng.random() < 1 / (1 + np.exp(scores[j] - scores[i]))
            if rng.random() >= eta:
                first = not first
            comparisons.append((int(i), int(j), annotator, 1.0) if first else (int(j), int(i), annotator, 1.0))
    made = bradley_terry(comparisons)
    assert np.corrcoef(made.scores, scores)[0, 1] > 0.99
    assert np.abs(made.reliability - reliability).max() < 0.1
    assert np.abs(made.scores - scores).max() < 0.6


def test_the_optimum_is_flat_in_every_direction_and_ties_leave_scores_at_zero() -> None:
    tied = bradley_terry([(0, 1, 0, 0.5), (1, 0, 0, 0.5)])
    assert tied.scores == pytest.approx([0.0, 0.0], abs=1e-5)
    # One comparison by one annotator whom the prior trusts at 10/11: s = ±g/2 and t = logit η solve, by hand,
    #   s / 4 = (2η − 1) p (1 − p) / q,   q = η p + (1 − η)(1 − p),   and   11 η − 10 = η (1 − η) (2p − 1) / q.
    made = bradley_terry([(0, 1, 0, 1.0)])
    s, eta = made.scores[0], made.reliability[0]
    p = 1 / (1 + np.exp(-2 * s))
    q = eta * p + (1 - eta) * (1 - p)
    assert made.scores[1] == pytest.approx(-s, abs=1e-4)
    assert s / 4 == pytest.approx((2 * eta - 1) * p * (1 - p) / q, abs=1e-4)
    assert 11 * eta - 10 == pytest.approx(eta * (1 - eta) * (2 * p - 1) / q, abs=1e-3)


def test_a_liar_is_turned_round() -> None:
    honest = [(0, 1, a, 1.0) for a in range(4) for _ in range(5)] + [(2, 0, a, 1.0) for a in range(4) for _ in range(5)]
    lies = [(1, 0, 4, 1.0)] * 30 + [(0, 2, 4, 1.0)] * 30
    made = bradley_terry([*honest, *lies])
    # 60 lies against 40 truths: a count of votes would turn the order round.
    assert made.scores[2] > made.scores[0] > made.scores[1]
    assert made.reliability[4] < 0.2
    assert made.reliability[:4].min() > 0.8
