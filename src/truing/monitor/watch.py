"""Asks every condition after every step, and remembers what it has said."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass
from typing import Any

from truing.monitor.condition import Action, active
from truing.monitor.history import History
from truing.settings import MonitorSettings

__all__ = ["Finding", "Monitor"]

WORSE = 1.5
"""A finding is told again when it has become so many times as severe."""


@dataclass(frozen=True, slots=True)
class Finding:
    """A condition that holds at a step, with what it means and what to change."""

    step: int
    condition: str
    action: Action
    since: int
    """The step at which it began."""
    severity: float
    """1 where the limit is just passed; more is worse."""
    found: str
    means: str
    advice: str
    source: str

    def __str__(self) -> str:
        return f"{self.condition} at step {self.step}: {self.found}. {self.means} {self.advice}"

    def row(self) -> dict[str, Any]:
        """As a line of `findings.jsonl`."""
        return asdict(self)


class Monitor:
    """The conditions of a recipe over the history of a run. What it finds depends on the history alone."""

    def __init__(self, settings: MonitorSettings) -> None:
        self.repeat = settings.repeat
        self.conditions = active(settings)
        self.history = History({name for each in self.conditions for name in each.condition.needs})
        self._since: dict[str, int] = {}
        self._told: dict[str, tuple[int, float]] = {}
        self._all: dict[str, dict[str, Any]] = {}

    def observe(self, step: int, metrics: Mapping[str, float]) -> list[Finding]:
        """Everything that holds at this step."""
        self.history.add(step, metrics)
        found = []
        for each in self.conditions:
            name, seen = each.condition.name, each.seen(self.history)
            if seen is None:
                self._since.pop(name, None)
                continue
            since = self._since.setdefault(name, step if seen.since is None else seen.since)
            advice = seen.advice or each.condition.advice
            about = (seen.severity, seen.found, each.condition.means, advice, each.condition.source)
            found.append(Finding(step, name, each.action, since, *about))
            self._remember(found[-1])
        return found

    def is_news(self, finding: Finding) -> bool:
        """Whether to tell of it: for the first time, when it has become worse, or after `monitor.repeat` steps."""
        step, severity = self._told.get(finding.condition, (None, 0.0))
        if step is not None and finding.severity < WORSE * severity and finding.step - step < self.repeat:
            return False
        self._told[finding.condition] = finding.step, finding.severity
        return True

    def summary(self) -> list[dict[str, Any]]:
        """For each condition that ever held: its action, the first and the last step at which it did, the number of
        steps, and the worst of what was found."""
        return list(self._all.values())

    def _remember(self, finding: Finding) -> None:
        row = self._all.setdefault(
            finding.condition,
            {"condition": finding.condition, "action": finding.action, "first": finding.step, "steps": 0},
        )
        row |= {"last": finding.step, "steps": row["steps"] + 1}
        if finding.severity >= row.get("severity", 0.0):
            row |= {"severity": finding.severity, "found": finding.found}
