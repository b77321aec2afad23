"""What a fork of the helper does to itself before it runs untrusted code; there is no way back from any of it.

Seccomp and Landlock are enough: together they leave no socket, no file but the standard library and the scratch folder,
no other process. The walls' own file system can stand in for Landlock, nothing for seccomp. Where what is needed is
missing the trainer refuses to run anything, unless it was told that `unsafe` will do.
"""

from __future__ import annotations

import fcntl
import os
import resource
from collections.abc import Sequence
from dataclasses import dataclass, field

from . import kernel, landlock, seccomp
from .walls import Walls, become

__all__ = ["Budget", "Jail", "build", "enter"]

_NEWEST = 1 << 20
_OPEN_FILES = 64
_OTHERS = 4  # processes of the helper that RLIMIT_NPROC counts beside the threads of a run


@dataclass(frozen=True, slots=True)
class Budget:
    """The limits of a run that the kernel keeps. `memory`: bytes beyond the bare interpreter; `file`: bytes a file."""

    cpu_seconds: int
    memory: int
    file: int
    threads: int


@dataclass(slots=True)
class Jail:
    """What is the same for every run. `rules`: Landlock's, with the scratch folder in and without, as file descriptors.

    `baseline`: the address space in bytes of an interpreter that has done nothing.
    """

    walls: Walls
    baseline: int
    machine: str = ""
    rules: tuple[int, int] = (-1, -1)
    confined: list[str] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)


def build(walls: Walls, baseline: int, readable: Sequence[str], without: Sequence[str], newest: int) -> Jail:
    """Find out what the kernel has, and make the rules. Of Landlock nothing later than version `newest` is used."""
    jail = Jail(walls, baseline)
    for name in ("landlock", "seccomp"):
        if name in without:
            jail.missing[name] = "left out as asked"
            continue
        try:
            if name == "landlock":
                version = min(landlock.version(), newest or _NEWEST)
                jail.rules = _rules(walls, readable, version)
                name = f"landlock {version}"
            else:
                jail.machine = kernel.machine()
                seccomp.available()
        except (OSError, AttributeError) as error:  # AttributeError: a C library without such calls, not Linux
            jail.missing[name] = str(error)
        else:
            jail.confined.append(name)
    return jail


def _rules(walls: Walls, readable: Sequence[str], version: int) -> tuple[int, int]:
    public = [("/dev/null", landlock.READ | landlock.WRITE)]
    for folder in readable:
        public.append((folder, landlock.LIST))
        public += [
            (f"{folder}/{name}", landlock.READ)
            for name in os.listdir(folder)
            if name not in ("site-packages", "dist-packages")  # the standard library, not what is installed
        ]
    scratch = (walls.scratch, landlock.SCRATCH if walls.private else landlock.SCRATCH_FLAT)
    made = landlock.ruleset([*public, scratch], version), landlock.ruleset(public, version)
    # High numbers: a fork puts its own descriptors into the low ones.
    return fcntl.fcntl(made[0], fcntl.F_DUPFD_CLOEXEC, 200), fcntl.fcntl(made[1], fcntl.F_DUPFD_CLOEXEC, 200)


def enter(jail: Jail, budget: Budget, *, scratch: str | None, keep: int) -> None:
    """Shut this process in: limits, a user that owns nothing, no capabilities, Landlock, no descriptor from `keep` on,
    seccomp. `scratch` is its working folder; without one it has nowhere to write.
    """
    os.chdir(scratch or "/")
    _limit(jail, budget)
    if jail.walls.user is not None:
        become(jail.walls.user + (scratch is None))
    if jail.confined:
        kernel.drop_capabilities()
        kernel.die_with_parent()  # again: another user id has undone it
        kernel.hide_memory()
        kernel.forbid_new_privileges()
    if jail.rules[0] >= 0:
        landlock.enforce(jail.rules[scratch is None])
    os.closerange(keep, 1 << 16)
    if jail.machine:
        # Threads only where something counts them: a filter cannot, and memory does not bound those without a stack.
        threads = jail.walls.counted and budget.threads > 1
        seccomp.install(seccomp.program(jail.machine, os.getpid(), threads=threads))


def _limit(jail: Jail, budget: Budget) -> None:
    # One second later than the polite signal, which a program may ignore, comes the one that it may not.
    bounds = {
        "RLIMIT_CPU": (budget.cpu_seconds, budget.cpu_seconds + 1),
        "RLIMIT_AS": (jail.baseline + budget.memory,) * 2,
        "RLIMIT_FSIZE": (budget.file,) * 2,
        "RLIMIT_NOFILE": (_OPEN_FILES,) * 2,
        "RLIMIT_CORE": (0, 0),
        "RLIMIT_MEMLOCK": (0, 0),
        "RLIMIT_MSGQUEUE": (0, 0),
        "RLIMIT_RTPRIO": (0, 0),
    }
    if jail.walls.counted:
        bounds["RLIMIT_NPROC"] = (budget.threads + _OTHERS,) * 2
    for name, (soft, hard) in bounds.items():
        if hasattr(resource, name):  # all of them on Linux
            resource.setrlimit(getattr(resource, name), (soft, hard))
