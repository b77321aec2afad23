"""Best-of-N: sample N responses, keep the one with the highest reward. How much it gains, and how far it goes.

expected_best      what the best of N is worth, from M >= N samples, without bias
kl_bound           how far it can be from the model, in nats a response
exact_kl           how far it is, where every response and its probability is known
curve              both for N = 1, 2, 4, ..., with intervals over prompts
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from truing.evaluate.intervals import Interval, mean

__all__ = ["Point", "curve", "exact_kl", "expected_best", "kl_bound", "powers", "weights"]


def kl_bound(n: int) -> float:
    """log N − (N − 1)/N nats (arXiv:2112.09332): an upper bound on KL(best-of-N ‖ model).

    Reached where no two responses are worth the same and none has a large probability of its own; with few different
    responses the KL is smaller (arXiv:2401.01879, theorem 3.1): never above −log of the best one's probability.
    """
    assert n >= 1, n
    return math.log(n) - (n - 1) / n


def weights(rewards: Sequence[float], n: int) -> list[float]:
    """How probable each of M samples is to be the best of n drawn from them without replacement.

    C(i − 1, n − 1) / C(M, n) for the i-th smallest; samples that are worth the same share theirs. They sum to 1.
    """
    size = len(rewards)
    assert 1 <= n <= size, f"the best of {n} of {size} samples"
    order = sorted(range(size), key=lambda i: rewards[i])
    whole = math.comb(size, n)
    out = [0.0] * size
    first = 0
    while first < size:
        last = first
        while last + 1 < size and rewards[order[last + 1]] == rewards[order[first]]:
            last += 1
        # All of a tie's share: the best is among them, but not above.
        share = (math.comb(last + 1, n) - math.comb(first, n)) / whole
        for place in range(first, last + 1):
            out[order[place]] = share / (last + 1 - first)
        first = last + 1
    return out


def expected_best(rewards: Sequence[float], n: int, values: Sequence[float] | None = None) -> float:
    """E[value of the best of n by reward], without bias, from M >= n samples; the value is the reward by default.

    The mean over all C(M, n) subsets (arXiv:2112.09332), so that no sample is thrown away.
    """
    of = rewards if values is None else values
    return math.fsum(w * v for w, v in zip(weights(rewards, n), of, strict=True))


def exact_kl(probabilities: Sequence[float], rewards: Sequence[float], n: int) -> float:
    """KL(best-of-n ‖ model) in nats of a model whose responses are all known, ties broken as the model would.

    Σ over levels of reward of q·log(q/p), with p the level's probability and q = F^n − F₋^n (arXiv:2401.01879, sec. 2):
    within a level best-of-n chooses as the model does.
    """
    assert math.isclose(math.fsum(probabilities), 1.0, abs_tol=1e-9), "probabilities sum to 1"
    levels: dict[float, float] = {}
    for p, reward in zip(probabilities, rewards, strict=True):
        levels[reward] = levels.get(reward, 0.0) + p
    below, kl = 0.0, 0.0
    for _, p in sorted(levels.items()):
        # F^n − F₋^n without the cancellation of two numbers near 1.
        upto = min(1.0, below + p)
        q = upto**n - below**n
        if q > 0:
            kl += q * math.log(q / p)
        below = upto
    return kl


@dataclass(frozen=True, slots=True)
class Point:
    """Best of `n`: the reward that chose, a value that did not if there is one, and the bound on the KL."""

    n: int
    kl_bound: float
    reward: Interval
    value: Interval | None = None


def powers(largest: int) -> list[int]:
    """1, 2, 4, ... up to `largest`, which is the last."""
    found = [2**i for i in range(largest.bit_length()) if 2**i <= largest]
    return found if found[-1] == largest else [*found, largest]


def curve(
    rewards: Sequence[Sequence[float]], values: Sequence[Sequence[float]] | None = None, ns: Sequence[int] | None = None
) -> list[Point]:
    """From M samples for each prompt: `rewards[prompt][sample]` chooses, `values` (a judge who did not) are read too.

    Intervals are over prompts, which are what was sampled.
    """
    assert rewards, "no prompt"
    smallest = min(map(len, rewards))
    points = []
    for n in powers(smallest) if ns is None else ns:
        chosen = mean([expected_best(row, n) for row in rewards])
        judged = None
        if values is not None:
            judged = mean([expected_best(row, n, said) for row, said in zip(rewards, values, strict=True)])
        points.append(Point(n, kl_bound(n), chosen, judged))
    return points
