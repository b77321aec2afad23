"""Reward functions on a batch of samples: called, and made one number.

A reward function is `f(prompts, completions, **columns) -> list[float | None]`, one entry per completion, sync or
async. `prompts` and `completions` are texts; `columns` holds, per completion, the data's other columns, the
`messages` of the prompt, `prompt_ids`, `completion_ids` and `finished`. None means "this reward does not speak of this
completion".
"""

from __future__ import annotations

import asyncio
import inspect
import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from truing.errors import TrainingError
from truing.group import Group
from truing.recipe import CombinationSettings, labels_of
from truing.rewards.combine import constrained, lexicographic, limits_of, normalised, weighted
from truing.rollouts.sampling import Sample

__all__ = ["Function", "Scored", "score"]

Function = tuple[str, float, Callable[..., Any]]


@dataclass(frozen=True, slots=True)
class Scored:
    """`totals[g][k]` is the weighted sum for response k of group g (NaN: no reward spoke of it); `parts` by reward."""

    totals: list[list[float]]
    parts: dict[str, list[list[float]]]

    def metrics(self) -> dict[str, float]:
        """`reward`, `reward_std` (mean spread within a group), `frac_reward_zero_std`, and each reward's mean."""
        groups = [known for row in self.totals if (known := [r for r in row if not math.isnan(r)])]
        flat = [r for row in groups for r in row]
        spreads = [statistics.pstdev(row) for row in groups]
        out = {
            "reward": statistics.fmean(flat) if flat else math.nan,
            "reward_std": statistics.fmean(spreads) if spreads else math.nan,
            "frac_reward_zero_std": sum(s < 1e-8 for s in spreads) / len(spreads) if spreads else math.nan,
        }
        for name, rows in self.parts.items():
            known = [r for row in rows for r in row if not math.isnan(r)]
            out[f"rewards/{name}/mean"] = statistics.fmean(known) if known else math.nan
        return out


def score(
    functions: Sequence[Function],
    groups: Sequence[Group],
    prompts: Sequence[list[int]],
    samples: Sequence[Sequence[Sample]],
    texts: Sequence[Sequence[str]],
    *,
    missing_end_penalty: float = 0.0,
    combination: CombinationSettings | None = None,
) -> Scored:
    """Every function on every sample, made one number each as `combination` says (by default the weighted sum).

    `TrainingError` where one answers with the wrong number of rewards or with something that is no finite number.
    """
    sizes = [len(row) for row in samples]
    repeated = [group for group, size in zip(groups, sizes, strict=True) for _ in range(size)]
    flat = [s for row in samples for s in row]
    names = sorted({name for group in groups for name in group.columns})
    columns: dict[str, Any] = {name: [g.columns.get(name) for g in repeated] for name in names}
    columns |= {
        "messages": [[{"role": m.role, "content": m.content} for m in g.prompt.messages] for g in repeated],
        "prompt_ids": [p for p, size in zip(prompts, sizes, strict=True) for _ in range(size)],
        "completion_ids": [s.tokens for s in flat],
        "finished": [s.finished for s in flat],
    }
    asked = [g.prompt.text for g in repeated]
    answered = [text for row in texts for text in row]
    labels = labels_of([name for name, _, _ in functions])
    found: dict[str, tuple[float, list[float]]] = {}
    for label, (name, weight, function) in zip(labels, functions, strict=True):
        found[label] = (weight, _checked(name, _called(function(asked, answered, **columns)), len(flat)))
    members = [g for g, size in enumerate(sizes) for _ in range(size)]
    totals = _combined(found, members, combination or CombinationSettings())
    for i, sample in enumerate(flat):
        if not sample.finished:
            totals[i] -= missing_end_penalty
    return Scored(_rows(totals, sizes), {label: _rows(values, sizes) for label, (_, values) in found.items()})


def _combined(
    parts: Mapping[str, tuple[float, list[float]]], groups: Sequence[int], settings: CombinationSettings
) -> list[float]:
    """One number per completion."""
    within = {"none": None, "batch": [0] * len(groups), "group": groups}[settings.normalise]
    # A threshold is in the reward's own units.
    scaled = {
        name: (weight, values if within is None or name in settings.thresholds else normalised(values, within))
        for name, (weight, values) in parts.items()
    }
    match settings.by:
        case "weighted":
            return weighted(list(scaled.values()), len(groups))
        case "lexicographic":
            return lexicographic(list(scaled.values()), groups, tolerance=settings.tolerance)
        case "constrained":
            objectives, limits = limits_of(scaled, settings.thresholds)
            return constrained(objectives, limits, len(groups), penalty=settings.penalty)


def _called(result: Any) -> Any:
    if not inspect.isawaitable(result):
        return result

    async def wait() -> Any:
        return await result

    return asyncio.run(wait())


def _checked(name: str, values: Any, size: int) -> list[float]:
    where = f"reward `{name}`"
    if not isinstance(values, Sequence) or len(values) != size:
        found = f"{len(values)} values" if isinstance(values, Sequence) else type(values).__name__
        raise TrainingError(
            f"answered with {found} for {size} completions", where=where, remedy="One float or None each."
        )
    out = []
    for i, value in enumerate(values):
        if value is None:
            out.append(math.nan)
        elif isinstance(value, int | float) and math.isfinite(value):
            out.append(float(value))
        else:
            raise TrainingError(
                f"completion {i} got {value!r}",
                where=where,
                remedy="Rewards are finite numbers, or None for no opinion.",
            )
    return out


def _rows(flat: Sequence[float], sizes: Sequence[int]) -> list[list[float]]:
    it = iter(flat)
    return [[next(it) for _ in range(size)] for size in sizes]
