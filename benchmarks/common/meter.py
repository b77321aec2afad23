"""A side measures itself: CPU time at every step, of the whole process, and the memory it took."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from common.machine import gemm_rate, peak_megabytes, resident_megabytes

__all__ = ["Meter"]


@dataclass
class Meter:
    """`start()` when everything is imported, `step(...)` after each step, `write(path)` at the very end."""

    marks: list[float] = field(default_factory=list)
    steps: list[dict[str, float]] = field(default_factory=list)
    megabytes_imports: float = 0.0

    def start(self) -> None:
        """Everything is imported, nothing is loaded: the first step has loading and tokenising in it."""
        self.megabytes_imports = resident_megabytes()
        self.marks.append(time.process_time())

    def step(self, **numbers: float) -> None:
        """A step is done; `numbers` are what it says of itself (loss, gradient norm, tokens)."""
        self.marks.append(time.process_time())
        self.steps.append(numbers)

    def write(self, path: Path, **more: Any) -> None:
        """`more` replaces or adds entries. The matrix-product rate is measured after everything else was read."""
        result: dict[str, Any] = {
            "cpu_steps": [b - a for a, b in zip(self.marks, self.marks[1:], strict=False)],
            "cpu_imports": self.marks[0],
            "cpu_process": time.process_time(),
            "peak_megabytes": peak_megabytes(),
            "megabytes_imports": self.megabytes_imports,
            "steps": self.steps,
            **more,
        }
        result["gemm_rate"] = gemm_rate()
        path.write_text(json.dumps(result), encoding="utf-8")
