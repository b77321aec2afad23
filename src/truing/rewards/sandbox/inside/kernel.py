"""System calls that the standard library does not have, each an `OSError` where the kernel says no."""

from __future__ import annotations

import ctypes
import os
import sys
from typing import Any

__all__ = [
    "CLONE_NEWCGROUP",
    "CLONE_NEWIPC",
    "CLONE_NEWNET",
    "CLONE_NEWNS",
    "CLONE_NEWPID",
    "CLONE_NEWUSER",
    "CLONE_NEWUTS",
    "die_with_parent",
    "drop_capabilities",
    "forbid_new_privileges",
    "hide_memory",
    "machine",
    "mount",
    "pivot_root",
    "restrict_mount",
    "syscall",
    "unmount",
    "unshare",
]

CLONE_NEWNS = 0x00020000
CLONE_NEWCGROUP = 0x02000000
CLONE_NEWUTS = 0x04000000
CLONE_NEWIPC = 0x08000000
CLONE_NEWUSER = 0x10000000
CLONE_NEWPID = 0x20000000
CLONE_NEWNET = 0x40000000

_NUMBERS = {
    # name: (x86_64, aarch64), from the kernel's asm/unistd_64.h and asm-generic/unistd.h
    "capset": (126, 91),
    "pivot_root": (155, 41),
    "seccomp": (317, 277),
    "mount_setattr": (442, 442),
    "landlock_create_ruleset": (444, 444),
    "landlock_add_rule": (445, 445),
    "landlock_restrict_self": (446, 446),
}
_PR_SET_PDEATHSIG, _PR_SET_DUMPABLE, _PR_SET_NO_NEW_PRIVS, _PR_CAP_AMBIENT = 1, 4, 38, 47
_SIGKILL = 9

_libc = ctypes.CDLL(None, use_errno=True)
_libc.syscall.restype = ctypes.c_long


def machine() -> str:
    """`x86_64` or `aarch64`; `OSError` on anything else, whose system call numbers are not in the tables."""
    found = os.uname().machine
    if not sys.platform.startswith("linux") or sys.maxsize < 2**32 or found not in ("x86_64", "aarch64"):
        raise OSError(f"system calls of {sys.platform} on {found} are not known here")
    return found


def _checked(result: int, what: str) -> int:
    if result < 0:
        number = ctypes.get_errno()
        raise OSError(number, f"{what}: {os.strerror(number)}")
    return result


def syscall(name: str, *arguments: Any) -> int:
    """A system call by name; integers are passed as 64 bits, None as a null pointer."""
    number = _NUMBERS[name][machine() == "aarch64"]
    passed = [ctypes.c_long(a) if isinstance(a, int) else a for a in arguments]
    return _checked(_libc.syscall(ctypes.c_long(number), *passed), name)


def _prctl(option: int, *values: int) -> None:
    padded = [ctypes.c_ulong(v) for v in (*values, 0, 0, 0, 0)[:4]]
    _checked(_libc.prctl(option, *padded), f"prctl {option}")


def die_with_parent() -> None:
    """This process is killed when the thread that forked it ends. Changing the user id undoes it."""
    _prctl(_PR_SET_PDEATHSIG, _SIGKILL)


def hide_memory() -> None:
    """Nobody but root may trace this process or read its /proc files, and it leaves no core file."""
    _prctl(_PR_SET_DUMPABLE, 0)


def forbid_new_privileges() -> None:
    """Setuid programs give no rights any more, to this process and all that come from it."""
    _prctl(_PR_SET_NO_NEW_PRIVS, 1)


def drop_capabilities() -> None:
    """No capability is left, of this user namespace or any other."""
    try:
        _prctl(_PR_CAP_AMBIENT, 4)  # PR_CAP_AMBIENT_CLEAR_ALL
    except OSError as error:
        raise OSError(error.errno, f"ambient capabilities stay: {error.strerror}") from error
    header = (ctypes.c_uint32 * 2)(0x20080522, 0)  # _LINUX_CAPABILITY_VERSION_3, this thread
    syscall("capset", ctypes.byref(header), ctypes.byref((ctypes.c_uint32 * 6)()))


def unshare(flags: int) -> None:
    """Namespaces of its own for this process (a PID namespace: for its children)."""
    _checked(_libc.unshare(ctypes.c_int(flags)), "unshare")


def mount(source: str, target: str, kind: str | None, flags: int, data: str | None = None) -> None:
    def text(value: str | None) -> bytes | None:
        return None if value is None else os.fsencode(value)

    passed = (text(source), text(target), text(kind), ctypes.c_ulong(flags), text(data))
    _checked(_libc.mount(*passed), f"mount {target}")


def restrict_mount(target: str, attributes: int) -> None:
    """Add attributes (MOUNT_ATTR_*) to a mount and keep those that it has (Linux 5.12)."""
    wanted = (ctypes.c_uint64 * 4)(attributes, 0, 0, 0)
    syscall("mount_setattr", -100, ctypes.c_char_p(os.fsencode(target)), 0, ctypes.byref(wanted), 32)


def unmount(target: str) -> None:
    """Take a mount away at once; what still uses it loses it last."""
    _checked(_libc.umount2(os.fsencode(target), 2), f"umount {target}")  # MNT_DETACH


def pivot_root(new: str, old: str) -> None:
    syscall("pivot_root", ctypes.c_char_p(os.fsencode(new)), ctypes.c_char_p(os.fsencode(old)))
