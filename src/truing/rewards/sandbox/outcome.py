"""What one may ask of the sandbox and what comes back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

from truing.errors import UserError

__all__ = ["Capabilities", "Limits", "Outcome", "SandboxError", "Status", "UnitTests", "Verdict"]

Status = Literal["ok", "error", "killed", "timeout", "output", "disk"]


class SandboxError(UserError):
    """This machine cannot run untrusted code safely, or the sandbox itself has broken."""


@dataclass(frozen=True, slots=True)
class Limits:
    """What one run may use.

    `cpu_seconds` of processor time, in whole seconds, is the limit that means the same on a busy machine;
    `wall_seconds` ends what sleeps. `memory` in bytes is address space beyond the bare interpreter's. `output` in bytes
    is what is read of standard output and of standard error, each. `disk` in bytes: the scratch folder. `threads`: 1
    for none beside the main one.
    """

    cpu_seconds: int = 5
    wall_seconds: float = 15.0
    memory: int = 512 << 20
    output: int = 1 << 20
    disk: int = 16 << 20
    threads: int = 16

    def __post_init__(self) -> None:
        for name in self.__slots__:
            value = getattr(self, name)
            if not value > 0:
                raise SandboxError(f"{name} = {value!r}", where="sandbox limits", remedy="Limits are greater than 0.")


@dataclass(frozen=True, slots=True)
class Outcome:
    """How a program ended. Everything in it is what the program made of it: an exit status of 0 says nothing about
    whether it did what it should.

    - `ok`: its exit status was 0. `error`: it was another one; 1 after an exception.
    - `killed`: by a signal, of its own making (`exit_status` is minus its number).
    - `timeout`, `output`, `disk`: by a limit. A memory limit is an exception inside the program, so an `error`.

    `seconds` by the clock; `cpu_seconds` of processor time.
    """

    status: Status
    stdout: str
    stderr: str
    exit_status: int
    seconds: float
    cpu_seconds: float


@dataclass(frozen=True, slots=True)
class UnitTests:
    """What a function has to do, in the shapes that data sets have.

    `each`: statements, a test each (MBPP's `test_list`). `file`: a file of tests: statements, a function `check` that
    takes the entry point (HumanEval's `test`), functions `test_...`. `setup` comes before both. `preamble` is the start
    of a Python file that the prompt shows: helpers that the tests may call, and code that continues it in the middle.
    """

    each: tuple[str, ...] = ()
    file: str = ""
    setup: str = ""
    preamble: str = ""
    entry_point: str | None = None


@dataclass(frozen=True, slots=True)
class Verdict:
    """How many tests passed, of how many, and the first thing that went wrong.

    Where `every` was not asked for, what follows the first failure has not run and counts as not passed. `outcome` is
    how the code's process ended.
    """

    passed: int
    total: int
    problem: str
    outcome: Outcome

    @property
    def all_passed(self) -> bool:
        return self.passed == self.total > 0


@dataclass(frozen=True, slots=True)
class Capabilities:
    """What confines untrusted code on this machine: the layers in use, and those that are missing with the reason."""

    layers: tuple[str, ...]
    missing: dict[str, str]

    @property
    def safe(self) -> bool:
        """Whether there is enough to run untrusted code: seccomp, limits, and Landlock or namespaces."""
        names = {layer.split()[0] for layer in self.layers}
        return {"seccomp", "rlimits"} <= names and bool({"landlock", "namespaces"} & names)

    def __str__(self) -> str:
        there = ", ".join(self.layers)
        lines = [f"missing: {name}: {reason}" for name, reason in self.missing.items()]
        return "\n".join([f"sandbox: {'safe' if self.safe else 'NOT SAFE'} ({there})", *lines])
