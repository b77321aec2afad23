"""A side measures itself: CPU time at every step, of the whole process, and the memory it took."""

from __future__ import annotations

import json
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from common.machine import gemm_rates, peak_megabytes, resident_megabytes

__all__ = ["Meter"]


@dataclass
class Meter:
    """`start()` when everything is imported, `ready()` when model and data are loaded, `step(...)` after each step,
    `write(path)` at the very end."""

    marks: list[float] = field(default_factory=list)
    steps: list[dict[str, float]] = field(default_factory=list)
    imported: float = 0.0
    megabytes_imports: float = 0.0

    def start(self) -> None:
        """Everything is imported, nothing is loaded."""
        self.megabytes_imports = resident_megabytes()
        self.imported = time.process_time()

    def ready(self) -> None:
        """The model is loaded, the data is tokenised, the first step begins. Only the first call counts."""
        if not self.marks:
            self.marks.append(time.process_time())

    def step(self, **numbers: float) -> None:
        """A step is done; `numbers` are what it says of itself (loss, gradient norm, tokens)."""
        assert self.marks, "ready() comes before the first step"
        self.marks.append(time.process_time())
        self.steps.append(numbers)

    def write(self, path: Path, **more: Any) -> None:
        """`more` replaces or adds entries. The matrix-product rates are measured after everything else was read."""
        ended = time.process_time()
        result: dict[str, Any] = {
            "cpu_imports": self.imported,
            "cpu_loading": self.marks[0] - self.imported,
            "cpu_steps": [b - a for a, b in zip(self.marks, self.marks[1:], strict=False)],
            "cpu_saving": ended - self.marks[-1],
            "cpu_process": ended,
            "peak_megabytes": peak_megabytes(),
            "megabytes_imports": self.megabytes_imports,
            "steps": self.steps,
            **more,
        }
        result["gemm_rates"] = gemm_rates()
        path.write_text(json.dumps(result), encoding="utf-8")
