"""CPU time of the parts of a step, from outside: methods are wrapped, nothing else is touched."""

from __future__ import annotations

import functools
import time
from collections import Counter
from typing import Any

__all__ = ["Phases"]


class Phases:
    """Running sums since the last `take`."""

    def __init__(self) -> None:
        self._spent: Counter[str] = Counter()

    def watch(self, owner: Any, method: str, phase: str) -> None:
        """Count the CPU time of `owner.method` (of a class or of one object) as `phase`."""
        inner = getattr(owner, method)

        @functools.wraps(inner)
        def timed(*arguments: Any, **more: Any) -> Any:
            began = time.process_time()
            try:
                return inner(*arguments, **more)
            finally:
                self._spent[phase] += time.process_time() - began  # type: ignore[assignment]

        setattr(owner, method, timed)

    def take(self) -> dict[str, float]:
        """What was spent since the last time."""
        spent = {f"cpu/{phase}": float(seconds) for phase, seconds in self._spent.items()}
        self._spent.clear()
        return spent
