"""The monitor: after every step, what an expert would notice, what it means and what to change (docs/monitor.md)."""

from __future__ import annotations

from truing.monitor import conditions as _conditions  # noqa: F401  (they register themselves)
from truing.monitor.condition import CONDITIONS, Seen, active, condition
from truing.monitor.history import History
from truing.monitor.watch import Finding, Monitor

__all__ = ["CONDITIONS", "Finding", "History", "Monitor", "Seen", "active", "condition"]
