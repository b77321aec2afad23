"""Numbers with 95 % intervals, from the unit that was sampled: the prompt.

mean                Student's t
paired_difference   Student's t over the differences, prompt by prompt
proportion          Wilson's score interval
win_share           Wilson's score interval with ties
bootstrap           percentiles of any other number over resampled units
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from statistics import NormalDist
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray

__all__ = ["Interval", "apart", "bootstrap", "mean", "paired_difference", "proportion", "win_share"]


@dataclass(frozen=True, slots=True)
class Interval:
    """An estimate from `n` prompts and the interval that holds the truth in 95 of 100 such studies."""

    value: float
    low: float
    high: float
    n: int

    def __contains__(self, value: float) -> bool:
        return self.low <= value <= self.high


def apart(lower: Interval, higher: Interval) -> bool:
    """Whether `lower` ends before `higher` begins: a stricter claim than a significant difference."""
    return lower.high < higher.low


def mean(values: Sequence[float], *, level: float = 0.95) -> Interval:
    """The mean and Student's t interval, x̄ ± t(n-1)·s/√n.

    One value has no spread to judge by: its interval is everything. No value at all has a mean of NaN.
    `ValueError` when a value is not finite.
    """
    from scipy.special import stdtrit  # a tenth of the import time of scipy.stats

    n = len(values)
    for index, value in enumerate(values):
        if not math.isfinite(value):
            raise ValueError(f"value {index} of {n} is {value}: leave out, and count, what could not be judged")
    if n == 0:
        return Interval(math.nan, -math.inf, math.inf, 0)
    center = math.fsum(values) / n
    if n == 1:
        return Interval(center, -math.inf, math.inf, 1)
    variance = math.fsum((value - center) ** 2 for value in values) / (n - 1)
    half = float(stdtrit(n - 1, 0.5 + level / 2)) * math.sqrt(variance / n)
    return Interval(center, center - half, center + half, n)


def paired_difference(ours: Sequence[float], theirs: Sequence[float], *, level: float = 0.95) -> Interval:
    """The mean of ours minus theirs on the same prompts. What makes a prompt hard for both cancels out."""
    return mean([a - b for a, b in zip(ours, theirs, strict=True)], level=level)


def proportion(successes: int, n: int, *, level: float = 0.95) -> Interval:
    """`successes` of `n` with Wilson's score interval (E. B. Wilson, JASA 22, 1927).

    Stays inside 0..1 and keeps a width at 0 of n and n of n. Of nothing, the share is NaN and the interval 0..1.
    """
    if not 0 <= successes <= n:
        raise ValueError(f"{successes} of {n} is no proportion")
    return win_share(successes, 0, n - successes, level=level)


def win_share(wins: int, ties: int, losses: int, *, level: float = 0.95) -> Interval:
    """The share of prompts won, a tie counting half, with a score interval.

    Solves (p̂ - p)² = z²/n · (p(1 - p) - t/4): a tie lies nearer the mean than a win or a loss, so a share t of ties
    takes t/4 from the variance. Without ties this is Wilson's interval. t = ties/(n + z²) is shrunk towards none, or
    a handful of ties would claim to be certain.
    """
    if min(wins, ties, losses) < 0:
        raise ValueError(f"{wins} wins, {ties} ties, {losses} losses: a count cannot be negative")
    n = wins + ties + losses
    if n == 0:
        return Interval(math.nan, 0.0, 1.0, 0)
    squared = NormalDist().inv_cdf(0.5 + level / 2) ** 2
    share = (wins + ties / 2) / n
    tied = ties / (n + squared)
    a = 1 + squared / n
    half_b = share + squared / (2 * n)
    c = share**2 + squared * tied / (4 * n)
    root = math.sqrt(max(0.0, half_b**2 - a * c))
    low, high = (half_b - root) / a, (half_b + root) / a
    # At 0 of n and n of n the ends are exactly 0 and 1, but for rounding.
    return Interval(share, 0.0 if share == 0 else max(0.0, low), 1.0 if share == 1 else min(1.0, high), n)


_CELLS = 1 << 21


def bootstrap(
    statistic: Callable[[NDArray[np.float64]], NDArray[np.float64]],
    counts: Sequence[int],
    *,
    bounds: tuple[float, float] = (-math.inf, math.inf),
    width: int = 1,
    level: float = 0.95,
    num_resamples: int = 2000,
    seed: int = 0,
) -> Interval:
    """A number and the percentile bootstrap interval over the units that were sampled (Efron 1979, Annals of
    Statistics 7(1); Efron and Tibshirani 1993, section 13.3).

    `counts[k]` says how many units are of kind k, units that are alike for the statistic: drawing n units with
    replacement is drawing the counts from Multinomial(n, counts / n), which costs as much as there are kinds.
    `statistic` maps counts [resamples, kinds] to numbers [resamples], NaN where there is none; `width` is how many
    numbers it needs a resample and kind, so that memory stays small.

    One unit has no spread to judge by: the interval is `bounds`. So it is where more than one in 20 resamples has no
    number; fewer are left out. Where the number itself does not exist it is NaN.
    """
    import numpy as np

    whole = np.asarray(counts, dtype=np.float64)
    n = int(whole.sum())
    value = float(statistic(whole[None])[0]) if n else math.nan
    if n < 2 or math.isnan(value):
        return Interval(value, *bounds, n)
    rng = np.random.default_rng(seed)
    rows = max(1, _CELLS // (len(counts) * max(1, width)))
    made = np.concatenate(
        [
            statistic(rng.multinomial(n, whole / n, size=min(rows, num_resamples - start)).astype(np.float64))
            for start in range(0, num_resamples, rows)
        ]
    )
    found = made[~np.isnan(made)]
    if len(found) < 0.95 * num_resamples:
        return Interval(value, *bounds, n)
    low, high = np.quantile(found, [0.5 - level / 2, 0.5 + level / 2])
    # The number itself may lie outside of a skewed bootstrap's ends by rounding only.
    return Interval(value, min(float(low), value), max(float(high), value), n)
