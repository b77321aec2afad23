"""Who answers better, prompt by prompt."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Literal

from truing.evaluate.intervals import Interval, win_share

__all__ = ["Verdict", "WinRate", "both_orders", "verdicts", "win_rate", "win_rate_of"]

Verdict = Literal["win", "tie", "loss"]
"""What a judge says of our answer beside theirs."""


@dataclass(frozen=True, slots=True)
class WinRate:
    """The share of `n` prompts that we win, a tie counting half, with its 95 % interval."""

    rate: float
    low: float
    high: float
    wins: int
    ties: int
    losses: int
    n: int

    @property
    def interval(self) -> Interval:
        return Interval(self.rate, self.low, self.high, self.n)


def win_rate(ours: Sequence[float], theirs: Sequence[float], *, tie: float = 1e-9) -> WinRate:
    """From a judge's scores of one answer each to the same prompts; scores within `tie` of each other are equal."""
    return win_rate_of(verdicts(ours, theirs, tie=tie))


def win_rate_of(said: Iterable[Verdict]) -> WinRate:
    """From one verdict for each prompt."""
    counts = Counter(said)
    wins, ties, losses = counts.pop("win", 0), counts.pop("tie", 0), counts.pop("loss", 0)
    if counts:
        raise ValueError(f"{next(iter(counts))!r} is no verdict: win, tie or loss")
    share = win_share(wins, ties, losses)
    return WinRate(share.value, share.low, share.high, wins, ties, losses, share.n)


def verdicts(ours: Sequence[float], theirs: Sequence[float], *, tie: float = 1e-9) -> list[Verdict]:
    """Score against score. `ValueError` for a score that is NaN: it would count as a tie that nobody declared."""
    said: list[Verdict] = []
    for index, (a, b) in enumerate(zip(ours, theirs, strict=True)):
        if math.isnan(a) or math.isnan(b):
            raise ValueError(f"prompt {index} has the scores {a} and {b}: leave out, and count, what was not judged")
        said.append("tie" if a == b or abs(a - b) <= tie else "win" if a > b else "loss")
    return said


def both_orders(shown_first: Verdict, shown_second: Verdict) -> Verdict:
    """One verdict on our answer from two, given with it shown first and second: a judge who changes sides ties.

    Judges prefer a position (arXiv:2306.05685, sec. 3.3); only what survives the swap counts.
    """
    return shown_first if shown_first == shown_second else "tie"
