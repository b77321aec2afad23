"""Landlock: which files a process may open, told to the kernel by the process itself (Linux 5.13 and later).

It covers opening, listing, making and removing. It does not cover looking at a path's metadata (`stat`) or changing it
(`chmod`, `chown`, `utime`, `setxattr`; the filter of `seccomp.py` refuses these), and before version 3 not `truncate`.
https://docs.kernel.org/userspace-api/landlock.html
"""

from __future__ import annotations

import os
import struct
from collections.abc import Iterable
from ctypes import c_char_p

from .kernel import syscall

__all__ = ["LIST", "READ", "SCRATCH", "SCRATCH_FLAT", "WRITE", "enforce", "ruleset", "version"]

_EXECUTE, _WRITE_FILE, _READ_FILE, _READ_DIR, _REMOVE_DIR, _REMOVE_FILE = (1 << i for i in range(6))
_MAKE_DIR, _MAKE_REG, _REFER, _TRUNCATE = 1 << 7, 1 << 8, 1 << 13, 1 << 14
_HANDLED = {1: (1 << 13) - 1, 2: (1 << 14) - 1, 3: (1 << 15) - 1, 5: (1 << 16) - 1}
_OF_FILES = _EXECUTE | _WRITE_FILE | _READ_FILE | _TRUNCATE | 1 << 15

READ = _READ_FILE | _READ_DIR
LIST = _READ_DIR
WRITE = _WRITE_FILE
SCRATCH_FLAT = READ | _WRITE_FILE | _MAKE_REG | _TRUNCATE
"""Files may be made, not removed, and no folders: whoever counts what is in it sees everything."""
SCRATCH = SCRATCH_FLAT | _REMOVE_DIR | _REMOVE_FILE | _MAKE_DIR | _REFER


def version() -> int:
    """The version of Landlock in this kernel; `OSError` where it has none or has it switched off."""
    return syscall("landlock_create_ruleset", None, 0, 1)


def ruleset(rules: Iterable[tuple[str, int]], abi: int) -> int:
    """A file descriptor of rules, (path, rights): what no rule allows is refused, and TCP and signals altogether.

    A path that does not exist needs no rule.
    """
    handled = _HANDLED[max(v for v in _HANDLED if v <= abi)]
    network = 0b11 if abi >= 4 else 0  # bind, connect
    scoped = 0b11 if abi >= 6 else 0  # abstract unix sockets, signals
    fields = [handled] + [network] * (abi >= 4) + [scoped] * (abi >= 6)
    attributes = struct.pack(f"={len(fields)}Q", *fields)
    rules_fd = syscall("landlock_create_ruleset", c_char_p(attributes), len(attributes), 0)
    for path, rights in rules:
        try:
            fd = os.open(path, os.O_PATH | os.O_CLOEXEC)
        except FileNotFoundError:
            continue
        try:
            allowed = rights & handled & (~0 if os.path.isdir(path) else _OF_FILES)
            syscall("landlock_add_rule", rules_fd, 1, c_char_p(struct.pack("=Qi", allowed, fd)), 0)
        finally:
            os.close(fd)
    return rules_fd


def enforce(rules_fd: int) -> None:
    """From here on, for this process and all that come from it. Needs `forbid_new_privileges`."""
    syscall("landlock_restrict_self", rules_fd, 0)
