"""Reward functions on a batch of samples: called, and made one number.

A reward function is `f(prompts, completions, **columns) -> list[float | None]`, one entry per completion, sync or
async. `prompts` and `completions` are texts; `columns` holds, per completion, the data's other columns, the
`messages` of the prompt, `prompt_ids`, `completion_ids`, `finished` and `rivals` (whether the completion is not the
policy's). None means "this reward does not speak of this
completion". A list of floats, one for each of its `completion_ids`, is a dense reward: the sum counts, and each token
is credited with its own. A function is handed the columns that it names; with `**columns` all, except those that are
called as one of its settings is.
"""

from __future__ import annotations

import asyncio
import inspect
import math
import statistics
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from typing import Any, TypeVar

from truing.errors import DataError, TrainingError
from truing.group import Group
from truing.recipe import CombinationSettings, labels_of
from truing.rewards.combine import constrained, lexicographic, limits_of, normalised, weighted
from truing.rollouts.sampling import Sample

__all__ = ["Function", "Scored", "check_columns", "score"]

T = TypeVar("T")
Function = tuple[str, float, Callable[..., Any]]
_OURS = ("messages", "prompt_ids", "completion_ids", "finished", "rivals")


@dataclass(frozen=True, slots=True)
class Scored:
    """`totals[g][k]` is the weighted sum for response k of group g (NaN: no reward spoke of it); `parts` by reward."""

    totals: list[list[float]]
    parts: dict[str, list[list[float]]]
    dense: list[list[list[float] | None]] = field(default_factory=list)
    """What of the total was given for each token of a response; None: all of it is for the response as a whole."""

    def __post_init__(self) -> None:
        if not self.dense:
            object.__setattr__(self, "dense", [[None] * len(row) for row in self.totals])

    @property
    def telling(self) -> list[int]:
        """The groups whose responses are not all worth the same: those that a comparison within the group learns
        from."""
        spread = [[r for r in row if not math.isnan(r)] for row in self.totals]
        return [g for g, row in enumerate(spread) if row and max(row) - min(row) > 1e-8]

    def only(self, groups: Sequence[int]) -> Scored:
        """The rewards of some of the groups."""
        return Scored(
            [self.totals[g] for g in groups],
            {name: [rows[g] for g in groups] for name, rows in self.parts.items()},
            [self.dense[g] for g in groups],
        )

    def __add__(self, other: Scored) -> Scored:
        parts = {name: [*rows, *other.parts[name]] for name, rows in self.parts.items()}
        return Scored([*self.totals, *other.totals], parts, [*self.dense, *other.dense])

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
    scales: Mapping[str, tuple[float, float]] | None = None,
) -> Scored:
    """Every function on every sample, made one number each as `combination` says (by default the weighted sum).

    `scales` gives mean and spread by reward: (reward − mean) / spread is what is combined, `parts` are as they were
    given. `TrainingError` where one answers with the wrong number of rewards or with what is no finite number.
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
        "rivals": [s.rival for s in flat],
    }
    asked = [g.prompt.text for g in repeated]
    answered = [text for row in texts for text in row]
    labels = labels_of([name for name, _, _ in functions])
    found: dict[str, tuple[float, list[float]]] = {}
    settings = combination or CombinationSettings()
    credit: list[list[float] | None] = [None] * len(flat)
    for label, (name, weight, function) in zip(labels, functions, strict=True):
        handed = _handed(function, columns, len(flat))
        values, dense = _checked(name, _called(function(asked, answered, **handed)), flat)
        found[label] = (weight, values)
        if any(row is not None for row in dense):
            _refuse_dense(name, settings, scaled=bool(scales))
            credit = [_added(one, row, weight) for one, row in zip(credit, dense, strict=True)]
    members = [g for g, size in enumerate(sizes) for _ in range(size)]
    totals = _combined(_scaled(found, scales or {}), members, settings)
    for i, sample in enumerate(flat):
        if not sample.finished:
            totals[i] -= missing_end_penalty
    parts = {label: _rows(values, sizes) for label, (_, values) in found.items()}
    return Scored(_rows(totals, sizes), parts, _rows(credit, sizes))


def _scaled(
    parts: Mapping[str, tuple[float, list[float]]], scales: Mapping[str, tuple[float, float]]
) -> dict[str, tuple[float, list[float]]]:
    out = {}
    for name, (weight, values) in parts.items():
        mean, spread = scales.get(name, (0.0, 1.0))
        out[name] = (weight, [(value - mean) / spread for value in values])
    return out


def _added(credit: list[float] | None, dense: list[float] | None, weight: float) -> list[float] | None:
    if dense is None:
        return credit
    return [c + weight * d for c, d in zip(credit or [0.0] * len(dense), dense, strict=True)]


def _refuse_dense(name: str, settings: CombinationSettings, *, scaled: bool) -> None:
    if settings.by != "weighted" or settings.normalise != "none" or scaled:
        raise TrainingError(
            "rewards single tokens, and only a plain weighted sum knows what becomes of them",
            where=f"reward `{name}`",
            remedy="Use combination: {by: weighted, normalise: none, calibrate: 0}.",
        )


def check_columns(name: str, function: Callable[..., Any], groups: Sequence[Group]) -> None:
    """`DataError` where a reward (a function, or a class whose instances are called) cannot do without a column that
    no row of the data has; of the columns in its attribute `one_of`, where it has that, one will do."""
    present = {column for group in groups for column in group.columns}
    choices = getattr(function, "one_of", ())
    if choices and present.isdisjoint(choices):
        raise DataError(
            f"it reads one of the columns {', '.join(f'`{c}`' for c in choices)}, and no row has any",
            where=f"reward `{name}`",
            remedy=f"The data's other columns: {', '.join(sorted(present)) or 'none'}. Rename one, or add it.",
        )
    for column in _named(function.__call__ if inspect.isclass(function) else function)[0]:
        if column not in present and column not in _OURS:
            raise DataError(
                f"it reads the column `{column}`, which no row has",
                where=f"reward `{name}`",
                remedy=f"The data's other columns: {', '.join(sorted(present)) or 'none'}. Rename one, or add it.",
            )


def _named(function: Callable[..., Any]) -> tuple[set[str], set[str], bool]:
    """The columns that a function cannot do without, those that it can, and whether it takes any."""
    parameters = list(inspect.signature(function).parameters.values())
    own = [p for p in parameters if p.kind is p.KEYWORD_ONLY]
    needed = {p.name for p in own if p.default is p.empty}
    return needed, {p.name for p in own} - needed, any(p.kind is p.VAR_KEYWORD for p in parameters)


def _handed(function: Callable[..., Any], columns: Mapping[str, Any], size: int) -> dict[str, Any]:
    """The columns for one function. One that it needs and that no row of this batch has is None throughout."""
    needed, optional, every = _named(function)
    # A column must not take the place of a setting of the same name.
    settings = function.keywords if isinstance(function, partial) else {}
    absent = {name: [None] * size for name in needed}
    return absent | {
        name: values
        for name, values in columns.items()
        if name not in settings and (every or name in needed or name in optional)
    }


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


def _checked(name: str, values: Any, samples: Sequence[Sample]) -> tuple[list[float], list[list[float] | None]]:
    """One number per completion, NaN for no opinion, and the rewards of its tokens where they were given."""
    where = f"reward `{name}`"
    if not isinstance(values, Sequence) or len(values) != len(samples):
        found = f"{len(values)} values" if isinstance(values, Sequence) else type(values).__name__
        raise TrainingError(
            f"answered with {found} for {len(samples)} completions",
            where=where,
            remedy="One float, list of floats (one a token) or None each.",
        )
    out: list[float] = []
    dense: list[list[float] | None] = []
    for i, (value, sample) in enumerate(zip(values, samples, strict=True)):
        row = None
        if isinstance(value, Sequence) and not isinstance(value, str):
            row = [_finite(where, i, v) for v in value]
            if len(row) != len(sample.tokens):
                raise TrainingError(
                    f"completion {i} has {len(sample.tokens)} tokens and got {len(row)} rewards",
                    where=where,
                    remedy="One for each token of `completion_ids`, or one number for the whole.",
                )
        dense.append(row)
        out.append(math.nan if value is None else math.fsum(row) if row is not None else _finite(where, i, value))
    return out, dense


def _finite(where: str, index: int, value: Any) -> float:
    if isinstance(value, int | float) and math.isfinite(value):
        return float(value)
    raise TrainingError(
        f"completion {index} got {value!r}",
        where=where,
        remedy="Rewards are finite numbers, or None for no opinion.",
    )


def _rows(flat: Sequence[T], sizes: Sequence[int]) -> list[list[T]]:
    it = iter(flat)
    return [[next(it) for _ in range(size)] for size in sizes]
