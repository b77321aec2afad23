"""The report as one HTML page.

What models and data wrote is hostile: the template has autoescape on and nothing is marked safe; control characters
are replaced; and the page forbids itself, by its content security policy, to run or to load anything.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, FileSystemLoader, StrictUndefined

from truing.evaluate.charts import Forest, forest, frontier, panels
from truing.evaluate.report import Answer, Report, Row, headline

__all__ = ["duration", "number", "percent", "render", "score"]

MOST_SAMPLES = 24
MOST_CHARACTERS = 3000
"""Of one answer; `report.json` has all of it."""

TITLES = {
    "loss": "Loss",
    "perplexity": "Perplexity",
    "rewards": "Implicit reward",
    "rewards/accuracies": "Reward accuracy",
    "rewards/margins": "Reward margin",
    "logps": "Log-probability",
    "reward": "Reward",
    "reward_std": "Spread of rewards",
    "kl": "KL from the reference, per token",
    "entropy": "Entropy",
    "grad_norm": "Gradient norm",
    "completions/mean_length": "Answer length, tokens",
    "frac_reward_zero_std": "Groups without a signal",
}
"""What a reader calls the metrics that a report usually shows; others go by their own names."""

SHARES = {"rewards/accuracies", "frac_reward_zero_std", "completions/clipped_ratio"}

# C0 and C1 controls, halves of surrogate pairs, and the marks that reorder the text around them.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\ud800-\udfff\u202a-\u202e\u2066-\u2069]")


def render(report: Report) -> str:
    """The whole page."""
    environment = Environment(
        loader=FileSystemLoader(Path(__file__).parent / "templates"),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters |= {
        "number": number,
        "percent": percent,
        "duration": duration,
        "metric": metric,
        "tick": tick,
        "score": score,
    }
    seconds = report.seconds
    stages = [(stage, panels(stage.curves)) for stage in report.stages]
    html = environment.get_template("report.html.j2").render(
        report=report,
        headline=headline(report),
        wins=_wins(report),
        utilities=_utilities(report),
        frontier=frontier(report.frontier),
        columns=_Columns.of(report.evaluation),
        samples=report.samples[:MOST_SAMPLES],
        samples_left=max(0, len(report.samples) - MOST_SAMPLES),
        most_characters=MOST_CHARACTERS,
        best=best,
        shares=SHARES,
        stages=[(stage, [(p, TITLES.get(p.title, p.title)) for p in found]) for stage, found in stages],
        smoothed=any(line.smooth for _, found in stages for panel in found for line in panel.lines),
        seconds=seconds,
        longest=max(seconds.values(), default=0.0) or 1.0,
        total=math.fsum(seconds.values()),
    )
    return _UNPRINTABLE.sub("\ufffd", html)


@dataclass(frozen=True)
class _Columns:
    """What the table has a column for: whatever at least one model was measured on."""

    utility: bool
    win_rate: bool
    kl: bool
    words: bool
    rates: list[str]
    figures: list[str]

    @property
    def count(self) -> int:
        measured = self.utility + 2 * self.win_rate + self.kl + self.words
        return 1 + measured + len(self.rates) + len(self.figures)

    @classmethod
    def of(cls, rows: Sequence[Row]) -> _Columns:
        return cls(
            utility=any(row.utility is not None for row in rows),
            win_rate=any(row.win_rate is not None for row in rows),
            kl=any(row.kl is not None for row in rows),
            words=any(row.words is not None for row in rows),
            rates=list(dict.fromkeys(name for row in rows for name in row.rates)),
            figures=list(dict.fromkeys(name for row in rows for name in row.figures)),
        )


def _wins(report: Report) -> Forest | None:
    rows = {r.model: r.win_rate.interval for r in report.main if r.win_rate and r.model != report.baseline}
    return forest(rows, reference=0.5, axis=(0.0, 1.0)) if rows else None


def _utilities(report: Report) -> Forest | None:
    rows = {row.model: row.utility for row in report.main if row.utility is not None}
    return forest(rows) if rows else None


def best(answers: Mapping[str, Answer]) -> list[str]:
    """The models with the highest score, where there is more than one score and they differ."""
    scores = {name: a.score for name, a in answers.items() if a.score is not None and math.isfinite(a.score)}
    highest = max(scores.values(), default=None)
    found = [name for name, score in scores.items() if score == highest]
    return found if len(found) < len(scores) else []


def number(value: float | str | None) -> str:
    """Three figures or so: 0.326, 2.39, 41.3, 1,204; other text as it is; a dash for what was not measured."""
    if value is None:
        return "–"
    if isinstance(value, str):
        return value
    if isinstance(value, int):
        return f"{value:,}".replace("-", "−")
    if math.isnan(value):
        return "NaN"
    if math.isinf(value):
        return "∞" if value > 0 else "−∞"
    size = abs(value)
    if size >= 1e6 or 0 < size < 1e-3:
        text = f"{value:.3g}"
    else:
        text = f"{value:,.{3 if size < 1 else 2 if size < 10 else 1 if size < 100 else 0}f}"
    return text.replace("-", "−")


def score(value: float) -> str:
    """Two decimals, so that a column of scores lines up."""
    return f"{value:,.2f}".replace("-", "−") if math.isfinite(value) else number(value)


def tick(value: float) -> str:
    """A round number on an axis, with no figure more than it needs."""
    return f"{value:,.6g}".replace("-", "−") if abs(value) < 1e6 else number(value)


def percent(value: float | None) -> str:
    """A share as whole percent; never 0% or 100% for what is not quite."""
    if value is None:
        return "–"
    if not math.isfinite(value):
        return "NaN"
    if 0 < value < 0.005:
        return "<1%"
    if 0.995 <= value < 1:
        return ">99%"
    return f"{value:.0%}"


def metric(value: float, name: str) -> str:
    """A value of the named metric."""
    return percent(value) if name in SHARES else number(value)


def duration(seconds: float) -> str:
    """4.2 s, 48 s, 3 min 05 s, 2 h 07 min."""
    if not math.isfinite(seconds):
        return "NaN"
    if seconds < 9.95:
        return f"{seconds:.1f} s"
    whole = round(seconds)
    if whole < 60:
        return f"{whole} s"
    if whole < 3600:
        return f"{whole // 60} min {whole % 60:02} s"
    return f"{whole // 3600} h {whole % 3600 // 60:02} min"
