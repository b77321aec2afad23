"""The policy's responses against those of a rival to the same prompts: what a reward says of one side seen from the
other. Pure functions of lists; NaN is a response that no reward speaks of."""

from __future__ import annotations

import math
import statistics
from collections.abc import Callable, Iterable, Sequence

from truing.errors import TrainingError
from truing.recipe import RivalSettings
from truing.rewards.score import Scored
from truing.rollouts.sampling import Sample

__all__ = ["faced", "own", "preference"]

Samples = Sequence[Sequence[Sample]]


def own(samples: Samples, texts: Sequence[Sequence[str]]) -> tuple[list[list[Sample]], list[list[str]]]:
    """The policy's samples and their texts."""
    kept = [[k for k, sample in enumerate(row) if not sample.rival] for row in samples]
    return (
        [[row[k] for k in ks] for row, ks in zip(samples, kept, strict=True)],
        [[row[k] for k in ks] for row, ks in zip(texts, kept, strict=True)],
    )


def preference(rewards: Sequence[float], rivals: Sequence[bool], beats: Callable[[float], float]) -> list[float]:
    """For each response of a group the mean of beats(r − r′) over the r′ of the other side; NaN where r or every r′ is.

    Rewards (2, 1, 0) with the last two a rival's, a win counting 1: (1, 0, 0).
    """
    assert len(rewards) == len(rivals)
    out = []
    for reward, side in zip(rewards, rivals, strict=True):
        others = [r for r, other in zip(rewards, rivals, strict=True) if other != side and not math.isnan(r)]
        known = others and not math.isnan(reward)
        out.append(statistics.fmean(beats(reward - r) for r in others) if known else math.nan)
    return out


def faced(scored: Scored, samples: Samples, settings: RivalSettings) -> tuple[Scored, dict[str, float]]:
    """The rewards as `settings.compare` makes them, those of rivals that are not trained on NaN; numbers for the log.

    `reward`, `reward_std` and `rewards/NAME/mean` of the log are the policy's own and as they were given;
    `rivals/reward` is the other side's, `rivals/win_rate` how often the policy's response gets more (a tie counts
    half), and `rivals/preference` the mean of what `compare` made of the policy's rewards.
    """
    sides = [[s.rival for s in row] for row in samples]
    metrics = _metrics(scored, sides)
    if settings.compare != "none":
        if any(dense is not None for row in scored.dense for dense in row):
            raise TrainingError(
                "it rewards single tokens, and responses are compared as wholes",
                where=f"rollouts.rivals.compare: {settings.compare}",
                remedy="Use rewards of whole responses, or compare: none.",
            )
        beats = {"sigmoid": _sigmoid, "wins": _wins}[settings.compare]
        totals = [preference(row, side, beats) for row, side in zip(scored.totals, sides, strict=True)]
        scored = Scored(totals, scored.parts)
        metrics["rivals/preference"] = _mean(_of_side(totals, sides, rival=False))
    if not settings.trained:
        totals = [
            [math.nan if rival else r for r, rival in zip(row, side, strict=True)]
            for row, side in zip(scored.totals, sides, strict=True)
        ]
        scored = Scored(totals, scored.parts, scored.dense)
    return scored, metrics


def _metrics(scored: Scored, sides: Sequence[Sequence[bool]]) -> dict[str, float]:
    own = [[r for r, rival in zip(row, side, strict=True) if not rival] for row, side in _rows(scored.totals, sides)]
    known = [values for row in own if (values := [r for r in row if not math.isnan(r)])]
    wins = [preference(row, side, _wins) for row, side in _rows(scored.totals, sides)]
    metrics = {
        "reward": _mean(r for row in own for r in row),
        "reward_std": _mean(statistics.pstdev(row) for row in known),
        "rivals/reward": _mean(_of_side(scored.totals, sides, rival=True)),
        "rivals/win_rate": _mean(_of_side(wins, sides, rival=False)),
    }
    for name, rows in scored.parts.items():
        metrics[f"rewards/{name}/mean"] = _mean(_of_side(rows, sides, rival=False))
    return metrics


def _rows(
    totals: Sequence[Sequence[float]], sides: Sequence[Sequence[bool]]
) -> Sequence[tuple[Sequence[float], Sequence[bool]]]:
    return list(zip(totals, sides, strict=True))


def _of_side(rows: Sequence[Sequence[float]], sides: Sequence[Sequence[bool]], *, rival: bool) -> list[float]:
    return [r for row, side in _rows(rows, sides) for r, other in zip(row, side, strict=True) if other == rival]


def _mean(values: Iterable[float]) -> float:
    known = [v for v in values if not math.isnan(v)]
    return statistics.fmean(known) if known else math.nan


def _wins(gap: float) -> float:
    return 0.5 if gap == 0 else float(gap > 0)


def _sigmoid(gap: float) -> float:
    return 1 / (1 + math.exp(-gap)) if gap >= 0 else 1 - 1 / (1 + math.exp(gap))
