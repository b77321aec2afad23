"""What the evaluations of rounds say: how good each is, whether to stop, and which model to keep. Pure."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Any

from truing.evaluate.intervals import Interval, mean, paired_difference
from truing.evaluate.winrate import win_rate
from truing.settings import RoundsSettings

if TYPE_CHECKING:
    from truing.sampler import Answered

__all__ = ["Evaluation", "Verdict", "decide"]


@dataclass(frozen=True, slots=True)
class Evaluation:
    """A model on the held-out prompts: by prompt, the mean of its samples' rewards (None: no reward spoke of them)."""

    round: int
    model: str
    rewards: list[float | None]
    kl: list[float]
    """log π − log π_first of the samples, in nats a response, mean by prompt: unbiased for the KL where the samples
    are not truncated."""
    length: float
    """Mean tokens a response."""
    finished: float
    """Share of responses that were not cut at the limit."""

    @classmethod
    def measured(cls, number: int, model: str, answered: Sequence[Answered], kl: Sequence[float]) -> Evaluation:
        """From samples."""
        samples = [sample for each in answered for sample in each.samples]
        return cls(
            number,
            model,
            [_mean([r for r in each.rewards if not math.isnan(r)]) for each in answered],
            list(kl),
            sum(len(s.tokens) for s in samples) / len(samples),
            sum(s.finished for s in samples) / len(samples),
        )

    @classmethod
    def of(cls, data: dict[str, Any]) -> Evaluation:
        """What `data` gave."""
        return cls(**{name: data[name] for name in cls.__slots__})

    def data(self) -> dict[str, Any]:
        """As plain data; the intervals are for readers."""
        return {**asdict(self), "reward": _ends(self.reward), "distance": _ends(self.distance)}

    @property
    def reward(self) -> Interval:
        return mean([r for r in self.rewards if r is not None])

    @property
    def distance(self) -> Interval:
        return mean(self.kl)

    def above(self, other: Evaluation) -> Interval:
        """The difference of rewards to another model's, prompt by prompt."""
        return paired_difference(*self._both(other))

    def metrics(self, before: Sequence[Evaluation] = ()) -> dict[str, float]:
        """A line of the record; `before` are the rounds before, of which the first and the last are compared with."""
        out: dict[str, float] = {"step": self.round, "reward": self.reward.value}
        out |= {"reward/low": self.reward.low, "reward/high": self.reward.high}
        out |= {"kl": self.distance.value, "completions/mean_length": self.length}
        out["completions/clipped_ratio"] = 1 - self.finished
        for name, other in (("first", before[0]), ("last", before[-1])) if before else ():
            gain, won = self.above(other), win_rate(*self._both(other))
            out |= {
                f"gain_over_{name}": gain.value,
                f"gain_over_{name}/low": gain.low,
                f"gain_over_{name}/high": gain.high,
            }
            out |= {f"win_rate_over_{name}": won.rate}
        return out

    def text(self, before: Sequence[Evaluation] = ()) -> str:
        """For people."""
        said = f"round {self.round}: held-out reward {_shown(self.reward)}"
        if before:
            said += f", {_shown(self.above(before[-1]), sign=True)} to the round before"
            said += f"; KL to the first model {self.distance.value:.2f} nats a response"
        return said

    def _both(self, other: Evaluation) -> tuple[list[float], list[float]]:
        each = zip(self.rewards, other.rewards, strict=True)
        known = [(a, b) for a, b in each if a is not None and b is not None]
        return [a for a, _ in known], [b for _, b in known]


@dataclass(frozen=True, slots=True)
class Verdict:
    """`best`: the round whose model is kept. `stop`: why no further round is worth it; None: go on."""

    best: int
    stop: str | None
    kept: str
    """Which model is kept, in words."""


def decide(evaluations: Sequence[Evaluation], settings: RoundsSettings) -> Verdict:
    """From the evaluations so far, the first model's among them.

    A round takes the place of the best so far only where its held-out reward is surely higher: the interval of the
    difference lies above 0. A tie goes to the earlier model, which is nearer to the first: rewards that stand still
    while the model moves on are what over-optimisation looks like (docs/rounds.md). One beyond `max_kl` cannot be best.
    """
    best, stop = evaluations[0], None
    for newest in evaluations[1:]:
        gain = newest.above(best)
        against = f"{_shown(gain, sign=True)} against round {best.round}"
        if settings.max_kl is not None and newest.distance.value > settings.max_kl:
            far = f"stopped: round {newest.round} is {newest.distance.value:.2f} nats from the first model"
            stop = f"{far}, more than rounds.max_kl = {settings.max_kl}"
        elif gain.low > 0:
            best = newest
        elif settings.stop_when == "not_better":
            stop = f"stopped: round {newest.round} is not surely better, {against}"
        elif settings.stop_when == "worse" and gain.high < 0:
            stop = f"stopped: round {newest.round} is worse, {against}"
    kept = f"model/ is round {best.round}'s: no later one was surely better on held-out prompts ({_shown(best.reward)})"
    if best.round == 0:
        kept = "model/ is the model that the rounds began with: on held-out prompts none was surely better"
    return Verdict(best.round, stop, kept)


def _mean(values: Sequence[float]) -> float | None:
    return sum(values) / len(values) if values else None


def _ends(interval: Interval) -> list[float | None]:
    """Value, low and high; of fewer than two prompts there is no interval."""
    return [value if math.isfinite(value) else None for value in (interval.value, interval.low, interval.high)]


def _shown(interval: Interval, *, sign: bool = False) -> str:
    plus = "+" if sign else ""
    return f"{interval.value:{plus}.2f} [{interval.low:{plus}.2f}, {interval.high:{plus}.2f}]"
