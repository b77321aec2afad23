"""Work on hostile text, done in a process of its own with limits on time and memory.

Some of what a model writes takes for ever or all memory to read: 9**9**9**9, a regular expression that backtracks, a
schema that refers to itself. Signals do not stop it (they wait for the C code that is busy, and work in the main thread
only), killing a process does. The process stays for the next question; only one that was killed is started again.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import threading
import weakref
from pathlib import Path
from typing import Any

from truing.errors import TrainingError

__all__ = ["Guarded"]

_WORKER = Path(__file__).with_name("guarded_worker.py")
_START_SECONDS = 120
"""For a busy machine: what it imports takes half a second of processor time."""


class Guarded:
    """`ask(...)` answers within `seconds` of processor time and `memory` MiB, or says None.

    The job is a function of `guarded_worker.py`. Questions and answers are JSON. Threads may ask at the same time and
    wait for each other. Where the system knows no limit on processor time (Windows), the clock alone decides.
    """

    def __init__(self, job: str, *, seconds: int, memory: int = 1024) -> None:
        self.job, self.seconds, self.memory = job, seconds, memory
        self._process: subprocess.Popen[bytes] | None = None
        self._lock = threading.Lock()

    def ask(self, *question: Any) -> Any:
        """What the job says, or None where a limit ended it."""
        line = json.dumps(question).encode() + b"\n"
        with self._lock:
            process = self._process or self._start()
            # A machine with other work gives less than a second a second: the clock is the second line of defence.
            said = _exchange(process, line, 10.0 * self.seconds + 10.0)
            if not said:
                self._stop()
                return None
        return json.loads(said)

    def close(self) -> None:
        """End the process; the next question starts another."""
        with self._lock:
            self._stop()

    def _start(self) -> subprocess.Popen[bytes]:
        # -P: modules beside the worker (math.py!) must not stand in for the standard library's.
        command = [sys.executable, "-P", str(_WORKER), self.job, str(self.seconds), str(self.memory)]
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, bufsize=-1
        )
        self._process = process
        self._end = weakref.finalize(self, _end, process)
        ready = _exchange(process, b"", _START_SECONDS)
        if ready != b"ready\n":
            self._stop()
            reason = ready.decode(errors="replace").strip() or f"no answer within {_START_SECONDS} s"
            raise TrainingError(f"its process did not start: {reason}", where=f"reward `{self.job}`")
        return process

    def _stop(self) -> None:
        if self._process is not None:
            self._end()
            self._process = None


def _exchange(process: subprocess.Popen[bytes], line: bytes, seconds: float) -> bytes:
    """One line there and one back; empty where the process ended or had to be ended."""
    assert process.stdin is not None
    assert process.stdout is not None
    timer = threading.Timer(seconds, process.kill)
    timer.daemon = True
    timer.start()
    try:
        process.stdin.write(line)
        process.stdin.flush()
        return process.stdout.readline()
    except BrokenPipeError:  # it ended before it read everything
        return b""
    finally:
        timer.cancel()


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    process.wait()
    assert process.stdout is not None
    assert process.stdin is not None
    process.stdout.close()
    with contextlib.suppress(BrokenPipeError):  # a question that it never read is still in the buffer
        process.stdin.close()
