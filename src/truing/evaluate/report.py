"""The report of a whole job: what came out, how sure that is, how it got there.

`write_report` writes two files with the same numbers: `report.html`, one page that needs nothing else (no script, no
other host), and `report.json`. In the JSON, null is what was not measured; a number that is not finite is the string
"NaN", "Infinity" or "-Infinity".
"""

from __future__ import annotations

import json
import math
import os
import platform
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, fields, is_dataclass
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

from truing.evaluate.charts import Points, ends
from truing.evaluate.intervals import Interval
from truing.evaluate.winrate import WinRate
from truing.record import json_safe, replace_text

__all__ = [
    "Answer",
    "Check",
    "Comparison",
    "Report",
    "Row",
    "Stage",
    "as_json",
    "curves",
    "environment",
    "headline",
    "write_report",
]


@dataclass(frozen=True)
class Check:
    """A claim that the run was to show, whether it did, and the numbers behind it."""

    claim: str
    passed: bool
    detail: str = ""


@dataclass(frozen=True)
class Stage:
    """One stage of the job. `recipe` is its YAML; `facts` is whatever else a reader should know of it."""

    name: str
    does: str
    recipe: str = ""
    curves: Mapping[str, Points] = field(default_factory=dict)
    seconds: float | None = None
    facts: Mapping[str, str | float] = field(default_factory=dict)


@dataclass(frozen=True)
class Row:
    """One model on the held-out prompts; None is what was not measured.

    `utility` is the judge's score, `win_rate` is against the baseline, `kl` from the baseline in nats a response,
    `rates` are shares of answers by name, `figures` plain numbers by name (seconds, megabytes). `setting` says how
    these answers were made ("greedy", "new items"): models are compared within one, and headline and charts speak of
    the report's first.
    """

    model: str
    utility: Interval | None = None
    win_rate: WinRate | None = None
    kl: float | None = None
    words: float | None = None
    rates: Mapping[str, Interval] = field(default_factory=dict)
    setting: str = ""
    figures: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True)
class Answer:
    """What a model said, and the judge of it."""

    text: str
    score: float | None = None


@dataclass(frozen=True)
class Comparison:
    """One prompt and each model's answer to it."""

    prompt: str
    answers: Mapping[str, Answer]


@dataclass(frozen=True)
class Report:
    """Everything that the page shows. `baseline` names the row that win rates are against.

    `frontier` is the way of each method as (KL from the baseline, judge's score), from its start to its end. `timings`
    are seconds of what is no stage (sampling preferences, evaluation); `reproduce` are commands.
    """

    title: str
    summary: str = ""
    checks: Sequence[Check] = ()
    evaluation: Sequence[Row] = ()
    samples: Sequence[Comparison] = ()
    stages: Sequence[Stage] = ()
    frontier: Mapping[str, Sequence[tuple[float, float]]] = field(default_factory=dict)
    timings: Mapping[str, float] = field(default_factory=dict)
    environment: Mapping[str, str | int | float] = field(default_factory=dict)
    reproduce: Sequence[str] = ()
    baseline: str = "SFT"

    @property
    def settings(self) -> dict[str, list[Row]]:
        """The rows of each setting, in order."""
        found: dict[str, list[Row]] = {}
        for row in self.evaluation:
            found.setdefault(row.setting, []).append(row)
        return found

    @property
    def main(self) -> list[Row]:
        """The rows of the first setting."""
        return next(iter(self.settings.values()), [])

    @property
    def seconds(self) -> dict[str, float]:
        """Stages first, then the rest."""
        return {stage.name: stage.seconds for stage in self.stages if stage.seconds is not None} | dict(self.timings)


def headline(report: Report) -> str:
    """What happened, in one sentence with numbers from the run; the title where nothing was compared."""
    rated = [
        (row.model, row.win_rate)
        for row in report.main
        if row.win_rate is not None and row.model != report.baseline and math.isfinite(row.win_rate.rate)
    ]
    if not rated:
        return report.title
    model, best = max(rated, key=lambda pair: pair[1].rate)
    # "Wins", not "is better on": a tie counts half.
    share = f"{best.rate:.0%} of {best.n:,} held-out prompts"
    if best.low > 0.5:
        return f"{model} wins {share} against {report.baseline}."
    if best.high < 0.5:
        return f"No model beats {report.baseline}: {model} comes nearest and wins {share}."
    return f"No model is clearly better than {report.baseline}: {model} comes nearest and wins {share}."


def curves(record: Iterable[Mapping[str, float]], metrics: Sequence[str]) -> dict[str, list[tuple[int, float]]]:
    """The named metrics of a run's record (`truing.record.read_record`) as curves; those it lacks are left out."""
    found: dict[str, list[tuple[int, float]]] = {name: [] for name in metrics}
    for line in record:
        for name in metrics:
            if name in line:
                found[name].append((int(line["step"]), line[name]))
    return {name: points for name, points in found.items() if points}


def environment(seed: int, **more: str | float) -> dict[str, str | int | float]:
    """What the numbers depend on: seed, versions, processor."""
    facts: dict[str, str | int | float] = {"seed": seed, **more, "python": platform.python_version()}
    for package in ("truing", "torch", "transformers"):
        try:
            facts[package] = version(package)
        except PackageNotFoundError:
            facts[package] = "not installed"
    return facts | {"system": f"{platform.system()} {platform.machine()}", "cores": os.cpu_count() or 0}


def as_json(report: Report) -> dict[str, Any]:
    """The report as it stands in `report.json`; `first` and `last` of a curve are means over a tenth of it."""
    plain: dict[str, Any] = {"headline": headline(report)} | _plain(report)
    seconds = report.seconds
    plain["seconds"] = seconds | {"total": math.fsum(seconds.values())}
    del plain["timings"]
    for stage, written in zip(report.stages, plain["stages"], strict=True):
        for name, points in stage.curves.items():
            first, last = ends(points)
            written["curves"][name] = {"first": first, "last": last, "points": written["curves"][name]}
    safe = json_safe(plain)
    assert isinstance(safe, dict)
    return safe


def write_report(report: Report, folder: Path) -> Path:
    """Write `report.json` and `report.html`, each whole or not at all; returns the page's path."""
    from truing.evaluate.page import render

    html = render(report)
    folder.mkdir(parents=True, exist_ok=True)
    replace_text(folder / "report.json", json.dumps(as_json(report), indent=1, allow_nan=False) + "\n")
    page = folder / "report.html"
    replace_text(page, html)
    return page


def _plain(value: Any) -> Any:
    if is_dataclass(value) and not isinstance(value, type):
        return {f.name: _plain(getattr(value, f.name)) for f in fields(value)}
    if isinstance(value, Mapping):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value
