"""Models of annotators: what is true, and how far each of them can be trusted, estimated together.

Pure mathematics on indices; `merge` brings groups here and back.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["DawidSkene", "ReliableBradleyTerry", "bradley_terry", "dawid_skene"]

Floats = NDArray[np.float64]
Vote = tuple[int, int, int]
"""(item, annotator, class)."""
Comparison = tuple[int, int, int, float]
"""(winner, loser, annotator, weight); a tie is both ways, 0.5 each."""


@dataclass(frozen=True, slots=True)
class DawidSkene:
    """`posterior[item, class]`, `prior[class]`, `confusion[annotator, true class, said class]`, `log_likelihood`."""

    posterior: Floats
    prior: Floats
    confusion: Floats
    log_likelihood: float
    num_iterations: int


def dawid_skene(
    votes: Sequence[Vote], num_classes: int, *, smoothing: float = 1.0, max_iterations: int = 500, epsilon: float = 1e-8
) -> DawidSkene:
    """EM for P(true class | votes), where annotator a says k of a true j with probability π_a[j, k].

        E:  posterior[i, j] ∝ prior[j] · Π over the votes (a, k) on i of π_a[j, k]
        M:  prior[j] = mean of posterior[:, j];  π_a[j, k] ∝ Σ over a's votes k on i of posterior[i, j]  +  smoothing

    (Dawid and Skene 1979, Applied Statistics 28(1).) Started from the share of each class among an item's votes. Their
    estimate has `smoothing` 0. With few votes an annotator the default, one pseudo vote a row shared by the classes
    equally, keeps confusions away from 0 and 1; it is added in the M step only, so it is no full prior.
    """
    if not votes:
        raise ValueError("no votes")
    items, annotators, said = (np.array(column) for column in zip(*votes, strict=True))
    num_items, num_annotators = int(items.max()) + 1, int(annotators.max()) + 1
    if num_classes <= int(said.max()):
        raise ValueError(f"class {said.max()} of {num_classes}")
    posterior = np.zeros((num_items, num_classes))
    np.add.at(posterior, (items, said), 1.0)
    # An item without votes says nothing: all classes are as likely.
    posterior += (posterior.sum(1, keepdims=True) == 0) / num_classes
    posterior /= posterior.sum(1, keepdims=True)
    before, iteration = -np.inf, 0
    while iteration < max_iterations:
        iteration += 1
        prior = posterior.mean(0)
        counts = np.full((num_annotators, num_classes, num_classes), smoothing / num_classes)
        np.add.at(counts.transpose(0, 2, 1), (annotators, said), posterior[items])
        total = counts.sum(2, keepdims=True)
        # A true class that an annotator never met says nothing of them.
        confusion = np.divide(counts, total, out=np.full_like(counts, 1 / num_classes), where=total > 0)
        with np.errstate(divide="ignore"):
            log_joint = np.tile(np.log(prior), (num_items, 1))
            np.add.at(log_joint, items, np.log(confusion[annotators, :, said]))
        peak = log_joint.max(1, keepdims=True)
        weight = np.exp(log_joint - peak)
        evidence = weight.sum(1, keepdims=True)
        posterior = weight / evidence
        log_likelihood = float((np.log(evidence) + peak).sum())
        if abs(log_likelihood - before) <= epsilon * abs(log_likelihood):
            break
        before = log_likelihood
    return DawidSkene(posterior, prior, confusion, log_likelihood, iteration)


@dataclass(frozen=True, slots=True)
class ReliableBradleyTerry:
    """`scores[item]` and `reliability[annotator]`: the probability (0..1) of saying what the better one is."""

    scores: Floats
    reliability: Floats
    objective: float


def bradley_terry(
    comparisons: Sequence[Comparison], *, spread: float = 2.0, trust: tuple[float, float] = (10.0, 1.0)
) -> ReliableBradleyTerry:
    """P(annotator a says i ≻ j) = η_a · σ(s_i − s_j) + (1 − η_a) · σ(s_j − s_i).

    η = 1 is plain Bradley-Terry, 0.5 a coin, 0 somebody who read the scale the wrong way round (Crowd-BT: Chen et al.
    2013, WSDM, "Pairwise ranking aggregation in a crowdsourced setting"). The maximum a posteriori under
    s ~ N(0, `spread`²), which does what their virtual node does (no score runs off to infinity), and η ~ Beta(`trust`),
    which says that annotators are mostly right: without it, all scores and all η can be turned round together.
    Minimised by L-BFGS.
    """
    from scipy.optimize import minimize
    from scipy.special import expit, logit

    if not comparisons:
        raise ValueError("no comparisons")
    columns = [np.array(column) for column in zip(*comparisons, strict=True)]
    winner, loser, annotator = (column.astype(np.int64) for column in columns[:3])
    weight: Floats = columns[3].astype(np.float64)
    num_items, num_annotators = int(max(winner.max(), loser.max())) + 1, int(annotator.max()) + 1
    right, wrong = trust

    def loss(x: Floats) -> tuple[float, Floats]:
        s, t = x[:num_items], x[num_items:]
        p, eta = expit(s[winner] - s[loser]), expit(t)
        likely = eta[annotator] * p + (1 - eta[annotator]) * (1 - p)
        value = -(weight * np.log(likely)).sum() + (s**2).sum() / (2 * spread**2)
        # Beta(right, wrong) over t = logit η, its density over t itself: the mode stays finite.
        value += right * np.logaddexp(0, -t).sum() + wrong * np.logaddexp(0, t).sum()
        by_gap = -weight * (2 * eta[annotator] - 1) * p * (1 - p) / likely
        by_trust = -weight * (2 * p - 1) / likely
        g_s, g_t = s / spread**2, np.zeros(num_annotators)
        np.add.at(g_s, winner, by_gap)
        np.add.at(g_s, loser, -by_gap)
        np.add.at(g_t, annotator, by_trust)
        g_t = g_t * eta * (1 - eta) - right * (1 - eta) + wrong * eta
        return float(value), np.concatenate([g_s, g_t])

    # Two minima where the busiest annotator is a contrary one: begin from every vote alike, and from every annotator
    # alike, and keep the better.
    voices = np.zeros((2, num_annotators, num_items))
    np.add.at(voices[0], (annotator, winner), weight)
    np.add.at(voices[0], (annotator, loser), -weight)
    voices[1] = np.sign(voices[0])
    starts = []
    for scores in np.tanh(voices.sum(1)):
        agreed = np.bincount(annotator, weight * (scores[winner] > scores[loser]), num_annotators)
        total = np.bincount(annotator, weight, num_annotators)
        starts.append(np.concatenate([scores, logit((agreed + right) / (total + right + wrong))]))
    made = [minimize(loss, start, jac=True, method="L-BFGS-B", options={"maxiter": 2000}) for start in starts]
    found = min(made, key=lambda result: float(result.fun))
    return ReliableBradleyTerry(found.x[:num_items], expit(found.x[num_items:]), float(found.fun))
