"""What a run has recorded so far, by metric: all that a condition may look at."""

from __future__ import annotations

import math
import statistics
from array import array
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

__all__ = ["KL", "History", "Series"]

KL = "kl/response"
"""Made here: KL of a whole response from the reference, in nats, out of `kl/sequence` or `kl` and the mean length."""


@dataclass(frozen=True, slots=True)
class Series:
    """Steps, oldest first, and the finite values of one metric at them."""

    steps: Sequence[int]
    values: Sequence[float]

    def __len__(self) -> int:
        return len(self.values)

    @property
    def last(self) -> float:
        return self.values[-1]

    def first(self, number: int) -> float:
        """Mean of the first values."""
        return statistics.fmean(self.values[:number])

    def recent(self, number: int) -> float:
        """Mean of the last values."""
        return statistics.fmean(self.values[-number:])

    def usual(self, number: int) -> float:
        """Median of so many values before the last one."""
        return statistics.median(self.values[-1 - number : -1])

    def since(self, number: int) -> int:
        """The step at which the last `number` values began."""
        return self.steps[-number:][0]


class History:
    """The metrics of `names`, step by step. A value that is not finite is left out of its series, and kept in `odd`."""

    def __init__(self, names: Iterable[str]) -> None:
        # Arrays, because a run of 100,000 steps has millions of numbers.
        self._columns = {name: (array("q"), array("d")) for name in names}
        self.odd: dict[str, tuple[int, float]] = {}
        """The last value of a metric that was not finite, with its step."""

    def add(self, step: int, metrics: Mapping[str, float]) -> None:
        """What was recorded at one step."""
        for name, (steps, values) in self._columns.items():
            value = _response_kl(metrics) if name == KL else metrics.get(name)
            if value is not None and math.isfinite(value):
                steps.append(step)
                values.append(value)
            elif value is not None:
                self.odd[name] = step, value

    def __getitem__(self, name: str) -> Series:
        """The series of a metric that the condition has declared; empty where the run does not record it."""
        return Series(*self._columns[name])


def _response_kl(metrics: Mapping[str, float]) -> float | None:
    if "kl/sequence" in metrics:
        return metrics["kl/sequence"]
    if "kl" in metrics and "completions/mean_length" in metrics:
        return metrics["kl"] * metrics["completions/mean_length"]
    return None
