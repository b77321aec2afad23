"""Signs of trouble in the samples of one step, as numbers for the log: lists in, numbers out.

What they mean is said in docs/monitor.md. NaN means that there is nothing to say: nothing varies.
"""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence

from truing.rewards.repetition import repeated_share

__all__ = ["length_correlation", "mean_repetition", "never_earned", "same_rewards"]

SAME = 1e-8
"""Rewards that differ by less are the same."""


def same_rewards(rewards: Sequence[Sequence[float]]) -> dict[str, float]:
    """`reward/lowest` and `reward/highest` of all samples, and of the groups of two and more whose rewards are all the
    same: their share that has the lowest reward of the batch, and the share that has the highest, of all such groups.

    `rewards[group][sample]`; NaN is left out. Groups of one have nothing to be the same as, and no shares.
    """
    known = [row for each in rewards if (row := [r for r in each if not math.isnan(r)])]
    if not known:
        return {}
    lowest, highest = min(map(min, known)), max(map(max, known))
    out = {"reward/lowest": lowest, "reward/highest": highest}
    compared = [row for row in known if len(row) > 1]
    if compared:
        same = [row[0] for row in compared if max(row) - min(row) < SAME]
        out["frac_reward_zero_std/lowest"] = sum(r - lowest < SAME for r in same) / len(compared)
        out["frac_reward_zero_std/highest"] = sum(highest - r < SAME for r in same) / len(compared)
    return out


def never_earned(parts: Mapping[str, Sequence[Sequence[float]]]) -> float:
    """How many of several rewards gave 0 to every sample; NaN is left out. 0 where there is one reward alone, of which
    `same_rewards` speaks."""
    if len(parts) < 2:
        return 0.0
    known = [[r for row in rows for r in row if not math.isnan(r)] for rows in parts.values()]
    return float(sum(bool(values) and all(abs(r) < SAME for r in values) for values in known))


def length_correlation(rewards: Sequence[Sequence[float]], lengths: Sequence[Sequence[int]]) -> float:
    """Pearson's correlation of reward and length, each less its group's mean: that one prompt asks for longer answers
    than another is not held against a reward.

    Rewards 1, 2, 3 of lengths 10, 20, 30 have 1. NaN where either does not vary within any group.
    """
    xs, ys = [], []
    for row, sizes in zip(rewards, lengths, strict=True):
        both = [(r, n) for r, n in zip(row, sizes, strict=True) if not math.isnan(r)]
        if not both:
            continue
        reward, length = (statistics.fmean(column) for column in zip(*both, strict=True))
        xs += [r - reward for r, _ in both]
        ys += [n - length for _, n in both]
    spread = math.sqrt(math.fsum(x * x for x in xs) * math.fsum(y * y for y in ys))
    return math.fsum(x * y for x, y in zip(xs, ys, strict=True)) / spread if spread > SAME else math.nan


def mean_repetition(samples: Sequence[Sequence[int]], n: int = 4) -> float:
    """Share of n-grams that a sample had said before, its mean over samples (arXiv:1908.04319, sec. 6, seq-rep-4)."""
    return statistics.fmean(repeated_share(tokens, n) for tokens in samples)
