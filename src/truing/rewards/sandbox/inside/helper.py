"""The helper's loop: raise the walls, then for every request fork, shut the fork in, watch it, end it, tell.

Neither code nor tests nor output pass through this process: they are in files whose descriptors it hands on. So there
is nothing in its memory, which every fork inherits, that untrusted code may not know.
"""

from __future__ import annotations

import contextlib
import ctypes
import gc
import importlib
import json
import os
import select
import signal
import socket
import sys
import time
from collections.abc import Callable
from typing import Any, NoReturn

from . import candidate, program, tester
from .jail import Budget, Jail, build, enter
from .kernel import hide_memory
from .walls import Walls, raise_walls, renew_scratch, stop_everything

__all__ = ["main"]

_MOST_FDS = 16
_TICK_SECONDS = 0.01
_MOST_ENTRIES = 256


_PRELOADED = (
    "array", "ast", "base64", "bisect", "bz2", "calendar", "cmath", "collections", "copy", "csv", "dataclasses",
    "datetime", "decimal", "enum", "fractions", "functools", "hashlib", "heapq", "inspect", "io", "itertools", "json",
    "lzma", "math", "numbers", "operator", "pprint", "queue", "random", "re", "statistics", "string", "struct",
    "textwrap", "threading", "time", "types", "typing", "unicodedata", "uuid", "zlib",
    "_sqlite3", "_ssl", "pyexpat",
)  # fmt: skip


def _preload() -> None:
    """Load what programs import most, so that a fork has it, and the shared libraries that the standard library needs:
    from inside the jail none can be read.
    """
    for name in _PRELOADED:
        with contextlib.suppress(ImportError):  # an interpreter built without it
            importlib.import_module(name)
    with contextlib.suppress(OSError):  # musl has no need of it
        ctypes.CDLL("libgcc_s.so.1")  # glibc loads it when a thread ends


def _baseline() -> int:
    try:
        with open("/proc/self/statm") as file:
            return int(file.read().split()[0]) * os.sysconf("SC_PAGE_SIZE")
    except OSError:  # not Linux: its limit on the address space is not this precise
        return 1 << 28


def _prepare(options: dict[str, Any]) -> Jail:
    _preload()
    baseline = _baseline()
    with contextlib.suppress(OSError), open("/proc/self/oom_score_adj", "w") as file:  # the limits stand without it
        file.write("1000")  # where memory runs out after all, this goes first and not the training
    readable = [path for path in sys.path if os.path.isdir(path) and path != options["own"]]
    readable = [p for p in readable if not any(p.startswith(f"{other}/") for other in readable)]
    sys.path.remove(options["own"])
    without = options["without"]
    walls = raise_walls(options["scratch"], options["user"], readable, without, options["bubblewrap"])
    jail = build(walls, baseline, readable, without, options["landlock"])
    if jail.confined:
        hide_memory()
    gc.collect()
    gc.freeze()
    return jail


def main() -> NoReturn:
    """Serve until the other end of descriptor 0 closes."""
    control = socket.socket(fileno=0)
    try:
        options = json.loads(sys.argv[1])
        jail = _prepare(options)
    except BaseException as error:
        _answer(control, {"failed": f"{type(error).__name__}: {error}"})
        os._exit(1)
    walls = jail.walls
    missing = jail.missing | walls.missing
    _answer(control, {"layers": [*jail.confined, *walls.raised, "rlimits"], "missing": missing})
    waking, woken = os.pipe()
    os.set_blocking(woken, False)
    os.set_blocking(waking, False)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    signal.set_wakeup_fd(woken, warn_on_full_buffer=False)
    while True:
        data, fds, _, _ = socket.recv_fds(control, 1 << 16, _MOST_FDS)
        if not data:
            os._exit(0)
        _answer(control, _serve(json.loads(data), fds, jail, control.fileno(), waking))
        for fd in fds:
            os.close(fd)


def _answer(control: socket.socket, what: dict[str, Any]) -> None:
    try:
        control.sendall(json.dumps(what).encode() + b"\n")
    except BrokenPipeError:
        os._exit(0)


def _serve(asked: dict[str, Any], fds: list[int], jail: Jail, control: int, waking: int) -> dict[str, Any]:
    """One run, from start to end."""
    budget = Budget(**asked["budget"])
    folder = renew_scratch(jail.walls, asked["disk"])
    telling, told = os.pipe()
    start = time.monotonic()
    if asked["kind"] == "run":
        code, *streams = fds
        main = _fork(jail, budget, folder, [*streams, told], lambda text: program.run(text), code)
        children = [main]
    else:
        code, stdin, stdout, stderr, tests, report, notes = fds
        questions, asking = os.pipe()
        answers, answering = os.pipe()
        first = _fork(
            jail, budget, folder, [stdin, stdout, stderr, questions, answering, told],
            lambda text: candidate.serve(json.loads(text), 3, 4), code,
        )  # fmt: skip
        main = _fork(
            jail, budget, None, [stdin, notes, notes, answers, asking, report, told],
            lambda text: tester.judge(json.loads(text), 3, 4, 5), tests,
        )  # fmt: skip
        children = [first, main]
        for fd in (questions, asking, answers, answering):
            os.close(fd)
    os.close(told)
    ended, reason = _watch(children, main, start + asked["wall"], jail.walls, folder, asked["disk"], control, waking)
    trouble = os.read(telling, 2000).decode(errors="replace")
    os.close(telling)
    status, cpu = ended[children[0]]
    return {
        "failed": trouble,
        "reason": reason,
        "status": os.waitstatus_to_exitcode(status),
        "cpu": cpu,
        "seconds": time.monotonic() - start,
    }


def _fork(
    jail: Jail, budget: Budget, folder: str | None, fds: list[int], work: Callable[[str], None], text: int
) -> int:
    """A child in the jail with `fds` as its descriptors 0, 1, ...; the last is closed before `work(text)` begins.

    On it goes word of anything that fails before: untrusted code must not be able to say that the jail is broken.
    """
    child = os.fork()
    if not child:
        _be_the_child(jail, budget, folder, fds, work, text)
    return child


def _be_the_child(
    jail: Jail, budget: Budget, folder: str | None, fds: list[int], work: Callable[[str], None], text: int
) -> NoReturn:
    told, voice = len(fds) - 1, fds[-1]
    try:
        signal.set_wakeup_fd(-1)
        signal.signal(signal.SIGCHLD, signal.SIG_DFL)
        os.setsid()
        with open(text, encoding="utf-8", errors="surrogatepass", newline="") as file:
            source = file.read()
        high = [os.dup2(fd, 100 + i) for i, fd in enumerate(fds)]
        for i, fd in enumerate(high):
            os.dup2(fd, i, inheritable=False)
        voice = told
        enter(jail, budget, scratch=folder, keep=len(fds))
        program.fresh_streams()
    except BaseException as error:
        os.write(voice, f"{type(error).__name__}: {error}".encode()[:1000])
        os._exit(1)
    os.close(told)
    try:
        work(source)
    except BaseException as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        program.leave(1)
    program.leave(0)


def _watch(
    children: list[int], main: int, deadline: float, walls: Walls, folder: str, disk: int, control: int, waking: int
) -> tuple[dict[int, tuple[int, float]], str]:
    """Wait for `main` to end or for a limit; then end everything. Of each child its status and processor seconds."""
    ended: dict[int, tuple[int, float]] = {}
    reason = ""
    poll = select.poll()
    poll.register(control, select.POLLIN)
    poll.register(waking, select.POLLIN)
    while True:
        _reap(ended, os.WNOHANG)
        left = deadline - time.monotonic()
        if main in ended:
            break
        if left <= 0:
            reason = "wall"
            break
        if not walls.private and _overfull(folder, disk):
            reason = "disk"
            break
        ready = poll.poll(1000 * (left if walls.private else min(left, _TICK_SECONDS)) + 1)
        if any(fd == control for fd, _ in ready):  # the trainer has gone; while we work it says nothing
            for child in children:
                stop_everything(child, walls)
            os._exit(0)
        if ready:
            os.read(waking, 512)
    idle = [child for child in children if child not in ended and not reason]  # waiting for the next question
    for child in children:
        if child not in ended or walls.pids:
            stop_everything(child, walls)
    _reap(ended, 0)
    # One that its processor limit was ending at that moment, its pipe closed and not yet reaped, was not idle.
    waited = [child for child in idle if os.waitstatus_to_exitcode(ended[child][0]) != -signal.SIGXCPU]
    return ended | {child: (0, ended[child][1]) for child in waited}, reason


def _reap(ended: dict[int, tuple[int, float]], how: int) -> None:
    while True:
        try:
            child, status, used = os.wait4(-1, how)
        except ChildProcessError:
            return
        if not child:
            return
        ended[child] = (status, used.ru_utime + used.ru_stime)


def _overfull(folder: str, disk: int) -> bool:
    used = entries = 0
    for entry in os.scandir(folder):
        entries += 1
        used += 512 * entry.stat(follow_symlinks=False).st_blocks
    return used > disk or entries > _MOST_ENTRIES
