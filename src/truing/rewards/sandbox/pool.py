"""Sandboxes: helper processes, started when they are needed and used again, several at a time.

from truing.rewards.sandbox import Sandbox, run

run("print(input()[::-1])", stdin="abc").stdout        # "cba\\n"
with Sandbox(workers=4) as sandbox:
    outcomes = sandbox.map(sandbox.run, programs)
"""

from __future__ import annotations

import itertools
import os
import threading
import weakref
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TypeVar

from truing.rewards.sandbox.lane import Lane
from truing.rewards.sandbox.outcome import Capabilities, Limits, Outcome, SandboxError, UnitTests, Verdict

__all__ = ["Sandbox", "capabilities", "check", "run"]

T = TypeVar("T")
Item = TypeVar("Item")
_DEFAULT = Limits()
_REMEDY = """It takes Linux 5.13 or later on x86-64 or ARM64, with seccomp and with Landlock or namespaces.
  To run what a model wrote without, with your files and your network at its mercy, say so: unsafe = true."""


class Sandbox:
    """Runs untrusted Python, `workers` runs at a time (default: as many as this process may use processor cores).

    `SandboxError` where this machine cannot confine it, unless `unsafe`: then with whatever confines it here, perhaps
    nothing. Threads may share a sandbox. `without` and `landlock` leave layers out, to try what it does without them.
    """

    def __init__(
        self, *, workers: int | None = None, unsafe: bool = False, without: Sequence[str] = (), landlock: int = 0
    ) -> None:
        if workers is not None and workers < 1:
            raise SandboxError(f"{workers} workers", where="sandbox", remedy="One or more.")
        self.workers = workers or _cores()
        self.unsafe, self.without, self.landlock = unsafe, tuple(without), landlock
        self._free: list[Lane] = []
        self._numbers = itertools.count()
        self._owner = os.getpid()
        self._lock = threading.Lock()
        self._slots = threading.BoundedSemaphore(self.workers)
        self._ending = weakref.finalize(self, _close, self._free, self._owner)

    def run(self, code: str, *, stdin: str = "", limits: Limits = _DEFAULT) -> Outcome:
        """Run a program and say how it ended."""
        return self._with_lane(lambda lane: lane.run(code, stdin, limits))

    def check(self, code: str, tests: UnitTests, *, limits: Limits = _DEFAULT, every: bool = False) -> Verdict:
        """Run tests on what a code defines: up to the first that fails, or `every` one, each `assert` by itself."""
        return self._with_lane(lambda lane: lane.check(code, tests, limits, every))

    def map(self, work: Callable[[Item], T], items: Iterable[Item]) -> list[T]:
        """Work that calls `run` or `check`, on several items side by side; in order."""
        with ThreadPoolExecutor(self.workers) as threads:
            return list(threads.map(work, items))

    @property
    def capabilities(self) -> Capabilities:
        """What confines untrusted code here, as a helper found it when it started."""
        with self._slots:
            lane = self._take()
            self._free.append(lane)
        return lane.capabilities

    def close(self) -> None:
        """End the helpers. The next run starts one again."""
        _close(self._free, self._owner)

    def _with_lane(self, work: Callable[[Lane], T]) -> T:
        with self._slots:
            lane = self._take()
            if not (self.unsafe or lane.capabilities.safe):
                self._free.append(lane)
                reasons = "; ".join(f"{name}: {why}" for name, why in lane.capabilities.missing.items())
                raise SandboxError(f"no safe way to run code here ({reasons})", where="sandbox", remedy=_REMEDY)
            try:
                result = work(lane)
            except BaseException:
                lane.close()  # it may be in the middle of something; the next run gets another
                raise
            self._free.append(lane)
            return result

    def _take(self) -> Lane:
        if self._owner != os.getpid():
            raise SandboxError(
                "it was made by another process", where="sandbox", remedy="Make one after the fork, not before."
            )
        with self._lock:
            lane = self._free.pop() if self._free else None
        return lane or Lane(next(self._numbers), without=self.without, landlock=self.landlock)

    def __enter__(self) -> Sandbox:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()


def _close(lanes: list[Lane], owner: int) -> None:
    while lanes and owner == os.getpid():
        lanes.pop().close()


def _cores() -> int:
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


_shared: dict[tuple[int, bool], Sandbox] = {}


def _default(unsafe: bool) -> Sandbox:
    key = (os.getpid(), unsafe)
    if key not in _shared:
        _shared[key] = Sandbox(unsafe=unsafe)
    return _shared[key]


def run(code: str, *, stdin: str = "", limits: Limits = _DEFAULT, unsafe: bool = False) -> Outcome:
    """Run a Python program that nobody trusts. `SandboxError` where that is not safe here and `unsafe` is not said."""
    return _default(unsafe).run(code, stdin=stdin, limits=limits)


def check(
    code: str, tests: UnitTests, *, limits: Limits = _DEFAULT, every: bool = False, unsafe: bool = False
) -> Verdict:
    """Run tests on code that nobody trusts. `SandboxError` as `run`."""
    return _default(unsafe).check(code, tests, limits=limits, every=every)


def capabilities() -> Capabilities:
    """What confines untrusted code on this machine. `print(capabilities())` is for people."""
    return _default(False).capabilities
