"""Rewards of a group as feedback, so that every offline objective also trains on fresh samples."""

from __future__ import annotations

import math
import statistics
from collections.abc import Collection, Sequence
from typing import Any, Literal

__all__ = ["verdicts"]


def verdicts(
    rewards: Sequence[float], reads: Collection[str], *, pairs: Literal["best_worst", "all"] = "best_worst"
) -> dict[str, Any]:
    """The feedback of one group that the streams in `reads` need, as `data_streams` takes it.

    - pairs: the best against the worst, or each against each that is worth less; `margin` is the difference.
    - `ranks`: 1 for the highest reward, equal rewards tie. `scores`: the rewards.
    - `labels`: 1 above the mean of the group, 0 below, −1 at it.

    A response without a reward (NaN) takes part in nothing.
    """
    known = [i for i, r in enumerate(rewards) if not math.isnan(r)]
    said: dict[str, Any] = {}
    if not {"chosen", "rejected", "strength", "margin"}.isdisjoint(reads):
        better = [(i, j) for i in known for j in known if rewards[i] > rewards[j]]
        if pairs == "best_worst" and better:
            best, worst = max(known, key=lambda i: rewards[i]), min(known, key=lambda i: rewards[i])
            better = [(best, worst)]
        said["pairs"] = better
        said["strength"] = [1.0] * len(better)
        said["margin"] = [rewards[i] - rewards[j] for i, j in better]
    if "ranks" in reads:
        order = {r: 1 + sum(rewards[j] > r for j in known) for r in {rewards[i] for i in known}}
        said["ranks"] = [order[r] if i in set(known) else 0 for i, r in enumerate(rewards)]
    if "scores" in reads:
        said["scores"] = list(rewards)
    if "labels" in reads:
        # Exact before it is rounded: three rewards of 0.1 are at their mean, and not below it.
        mean = statistics.mean(rewards[i] for i in known) if known else math.nan
        said["labels"] = [-1 if math.isnan(r) or r == mean else int(r > mean) for r in rewards]
    if "demonstrations" in reads:
        best_reward = max((rewards[i] for i in known), default=math.nan)
        said["demonstrations"] = [r == best_reward for r in rewards]
    return said
