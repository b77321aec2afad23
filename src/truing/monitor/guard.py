"""The monitor of a run in a folder: what it finds is written down, told, and acted upon.

    findings.jsonl    one line for each finding that is news
    rollbacks.json    how often the run went back, from where, to where and why

A guard is made anew for each stretch of steps: it reads the record up to the step it begins at, so that a run that was
cut knows what one that was not does.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from truing.errors import NotFiniteError, TrainingError
from truing.monitor.condition import CONDITIONS, Action
from truing.monitor.watch import Finding, Monitor
from truing.record import RECORD, json_safe, read_record, replace_text
from truing.settings import MonitorSettings

__all__ = ["FINDINGS", "ROLLBACKS", "Guard", "Rollbacks", "stopped"]

FINDINGS = "findings.jsonl"
ROLLBACKS = "rollbacks.json"
SLOWER = 0.5
"""The learning rate after going back, as a share of that before."""


class Rollbacks:
    """How often a run went back. Written whole or not at all."""

    def __init__(self, folder: Path, *, resume: bool) -> None:
        self.path = folder / ROLLBACKS
        if not resume:
            self.path.unlink(missing_ok=True)
        self.rows: list[dict[str, Any]] = json.loads(self.path.read_text("utf-8")) if self.path.exists() else []

    @property
    def share(self) -> float:
        """What is left of the learning rate."""
        return SLOWER ** len(self.rows)

    def add(self, finding: Finding, to: int) -> None:
        self.rows.append({"condition": finding.condition, "step": finding.step, "to": to, "found": finding.found})
        replace_text(self.path, json.dumps(json_safe(self.rows), indent=2) + "\n")


class Guard:
    """Sees every step from `start` on."""

    def __init__(
        self,
        folder: Path,
        settings: MonitorSettings,
        start: int,
        tell: Callable[[Finding], None] = lambda finding: None,
    ) -> None:
        self.settings, self.tell = settings, tell
        self.monitor = Monitor(settings)
        self.last: dict[str, float] = {}
        """The newest metrics."""
        self.pending: Finding | None = None
        """What the newest step asks for: to stop or to go back."""
        self._path = folder / FINDINGS
        lines = []
        for row in read_record(folder) if start and (folder / RECORD).exists() else []:
            if row["step"] <= start:
                metrics = {name: value for name, value in row.items() if name != "step"}
                lines += [finding.row() for finding in self._observe(int(row["step"]), metrics)]
        replace_text(self._path, "".join(map(_line, lines)))

    def see(self, step: int, metrics: Mapping[str, float]) -> Finding | None:
        """Look at a step that was recorded; the finding that asks to stop or to go back."""
        self._report(self._observe(step, dict(metrics)))
        return self.pending

    def broke(self, step: int, error: NotFiniteError) -> Finding:
        """A step that could not be done."""
        condition = CONDITIONS["not_finite"]
        action: Action = self.settings.actions.get("not_finite", condition.action)
        about = (error.found, condition.means, error.remedy or "", condition.source)
        finding = Finding(step, "not_finite", "rollback" if action == "rollback" else "stop", step, 1.0, *about)
        self._report([finding] if self.monitor.is_news(finding) else [])
        return finding

    def _observe(self, step: int, metrics: dict[str, float]) -> list[Finding]:
        """What is news at this step."""
        found = self.monitor.observe(step, metrics)
        self.last = metrics
        # To stop is the more careful of the two.
        asked = [finding for action in ("stop", "rollback") for finding in found if finding.action == action]
        self.pending = asked[0] if asked else None
        return [finding for finding in found if self.monitor.is_news(finding)]

    def _report(self, findings: list[Finding]) -> None:
        with self._path.open("a", encoding="utf-8") as file:
            file.writelines(_line(finding.row()) for finding in findings)
        for finding in findings:
            if finding.action != "log":
                self.tell(finding)


def stopped(finding: Finding, why: str = "") -> TrainingError:
    """The one message that a run ends with."""
    return TrainingError(
        f"stopped by the monitor, {finding.condition}: {finding.found}{why}",
        where=f"step {finding.step}",
        remedy=f"{finding.means} {finding.advice}\n  It began at step {finding.since}. To go on all the same: --resume "
        f"--set monitor.actions.{finding.condition}=warn",
    )


def _line(row: Mapping[str, Any]) -> str:
    return json.dumps(json_safe(row), allow_nan=False) + "\n"
