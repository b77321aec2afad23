"""Seccomp: the system calls that remain. A list of what is allowed, not of what is forbidden.

What is not in the tables fails with EPERM, new calls of later kernels included. So there is no socket (but a connected
pair, which asyncio needs), no fork and no exec, no ptrace, mount, namespaces, io_uring, bpf, userfaultfd, keyctl,
memfd, shared memory, foreign signals or foreign limits. https://docs.kernel.org/userspace-api/seccomp_filter.html
"""

from __future__ import annotations

import struct
from ctypes import Structure, byref, c_char_p, c_uint32, c_ushort, c_void_p, cast
from dataclasses import dataclass
from typing import ClassVar

from .kernel import syscall

__all__ = ["ALLOWED", "ENOSYS", "Check", "available", "install", "program"]

ALLOWED: dict[str, tuple[int | None, int | None]] = {
    # name: (x86_64, aarch64), from the kernel's asm/unistd_64.h and asm-generic/unistd.h
    "read": (0, 63),
    "write": (1, 64),
    "readv": (19, 65),
    "writev": (20, 66),
    "pread64": (17, 67),
    "pwrite64": (18, 68),
    "preadv": (295, 69),
    "pwritev": (296, 70),
    "lseek": (8, 62),
    "close": (3, 57),
    "close_range": (436, 436),
    "dup": (32, 23),
    "dup2": (33, None),
    "dup3": (292, 24),
    "fcntl": (72, 25),
    "flock": (73, 32),
    "ioctl": (16, 29),
    "open": (2, None),
    "openat": (257, 56),
    "creat": (85, None),
    "stat": (4, None),
    "lstat": (6, None),
    "fstat": (5, 80),
    "newfstatat": (262, 79),
    "statx": (332, 291),
    "statfs": (137, 43),
    "fstatfs": (138, 44),
    "access": (21, None),
    "faccessat": (269, 48),
    "faccessat2": (439, 439),
    "readlink": (89, None),
    "readlinkat": (267, 78),
    "getdents": (78, None),
    "getdents64": (217, 61),
    "getcwd": (79, 17),
    "chdir": (80, 49),
    "fchdir": (81, 50),
    "mkdir": (83, None),
    "mkdirat": (258, 34),
    "rmdir": (84, None),
    "unlink": (87, None),
    "unlinkat": (263, 35),
    "rename": (82, None),
    "renameat": (264, 38),
    "renameat2": (316, 276),
    "ftruncate": (77, 46),
    "fsync": (74, 82),
    "fdatasync": (75, 83),
    "umask": (95, 166),
    "sendfile": (40, 71),
    "copy_file_range": (326, 285),
    "fadvise64": (221, 223),
    "mmap": (9, 222),
    "mprotect": (10, 226),
    "munmap": (11, 215),
    "mremap": (25, 216),
    "brk": (12, 214),
    "madvise": (28, 233),
    "msync": (26, 227),
    "futex": (202, 98),
    "set_robust_list": (273, 99),
    "rseq": (334, 293),
    "set_tid_address": (218, 96),
    "sched_yield": (24, 124),
    "sched_getaffinity": (204, 123),
    "membarrier": (324, 283),
    "getcpu": (309, 168),
    "nanosleep": (35, 101),
    "clock_nanosleep": (230, 115),
    "clock_gettime": (228, 113),
    "clock_getres": (229, 114),
    "gettimeofday": (96, 169),
    "time": (201, None),
    "times": (100, 153),
    "getrusage": (98, 165),
    "getpid": (39, 172),
    "gettid": (186, 178),
    "getppid": (110, 173),
    "getuid": (102, 174),
    "geteuid": (107, 175),
    "getgid": (104, 176),
    "getegid": (108, 177),
    "getresuid": (118, 148),
    "getresgid": (120, 150),
    "getgroups": (115, 158),
    "getpgrp": (111, None),
    "getpgid": (121, 155),
    "getsid": (124, 156),
    "getrlimit": (97, 163),
    "prlimit64": (302, 261),
    "rt_sigaction": (13, 134),
    "rt_sigprocmask": (14, 135),
    "rt_sigreturn": (15, 139),
    "rt_sigpending": (127, 136),
    "rt_sigtimedwait": (128, 137),
    "rt_sigsuspend": (130, 133),
    "sigaltstack": (131, 132),
    "pause": (34, None),
    "alarm": (37, None),
    "setitimer": (38, 103),
    "getitimer": (36, 102),
    "restart_syscall": (219, 128),
    "kill": (62, 129),
    "tgkill": (234, 131),
    "poll": (7, None),
    "ppoll": (271, 73),
    "select": (23, None),
    "pselect6": (270, 72),
    "epoll_create": (213, None),
    "epoll_create1": (291, 20),
    "epoll_ctl": (233, 21),
    "epoll_wait": (232, None),
    "epoll_pwait": (281, 22),
    "eventfd2": (290, 19),
    "pipe": (22, None),
    "pipe2": (293, 59),
    "socketpair": (53, 199),
    "sendto": (44, 206),
    "recvfrom": (45, 207),
    "shutdown": (48, 210),
    "getsockname": (51, 204),
    "getsockopt": (55, 209),
    "clone": (56, 220),
    "exit": (60, 93),
    "exit_group": (231, 94),
    "wait4": (61, 260),
    "waitid": (247, 95),
    "uname": (63, 160),
    "sysinfo": (99, 179),
    "getrandom": (318, 278),
    "prctl": (157, 167),
}  # fmt: skip
ENOSYS: dict[str, tuple[int, int]] = {"clone3": (435, 435), "openat2": (437, 437)}
"""glibc then does without: their arguments are in memory, where a filter cannot look."""

_ARCHITECTURES = {"x86_64": 0xC000003E, "aarch64": 0xC00000B7}
_X32 = 0x40000000
_ALLOW, _ERRNO, _KILL = 0x7FFF0000, 0x00050000, 0x80000000
_EPERM, _ENOSYS = 1, 38
_LOAD, _AND, _EQUAL, _AT_LEAST, _RETURN = 0x20, 0x54, 0x15, 0x35, 0x06

_O_TMPFILE, _O_TRUNC, _O_ACCMODE = 0o20000000, 0o1000, 0o3
_PTHREAD = 0x3D0F00  # what pthread_create of glibc passes: a thread of this process and nothing more
_DETACHED = 0x400000  # musl adds it; the kernel ignores it


@dataclass(frozen=True, slots=True)
class Check:
    """`(argument & mask) == value`, or `!=`, on the lower 32 bits of an argument; `wide`: the upper ones must be 0."""

    argument: int
    value: int
    mask: int = 0xFFFFFFFF
    equal: bool = True
    wide: bool = False


def _opening(flags: int) -> list[list[Check]]:
    # A nameless file does not show in the scratch folder; O_RDONLY | O_TRUNC empties a file that may only be read,
    # which Landlock before version 3 lets pass.
    return [[Check(flags, 0, _O_TMPFILE), Check(flags, _O_TRUNC, _O_TRUNC | _O_ACCMODE, equal=False)]]


def _any(argument: int, *values: int) -> list[list[Check]]:
    return [[Check(argument, value)] for value in values]


def conditions(pid: int, threads: bool) -> dict[str, list[list[Check]]]:
    """For the calls that are allowed with some arguments only: any of the lists, all of its checks."""
    return {
        "open": _opening(1),
        "openat": _opening(2),
        # Duplicates, flags, locks and the size of a pipe; not F_SETOWN and F_SETSIG, which send signals.
        "fcntl": _any(1, 0, 1, 2, 3, 4, 5, 6, 7, 1030, 1032),
        # TCGETS (isatty), TIOCGWINSZ, FIONREAD, FIONBIO, FIONCLEX, FIOCLEX
        "ioctl": _any(1, 0x5401, 0x5413, 0x541B, 0x5421, 0x5450, 0x5451),
        # Signals to itself alone.
        "kill": _any(0, pid),
        "tgkill": _any(0, pid),
        # Limits may be read.
        "prlimit64": [[Check(0, target), Check(2, 0, wide=True)] for target in (0, pid)],
        "prctl": _any(0, 15, 16),  # PR_SET_NAME, PR_GET_NAME
        # AF_UNIX, SOCK_STREAM: a datagram one could send to any address.
        "socketpair": [[Check(0, 1), Check(1, 1, 0xF)]],
        "sendto": [[Check(4, 0, wide=True)]],
        "clone": [[Check(0, _PTHREAD, 0xFFFFFFFF ^ _DETACHED)]] if threads else [],
    }


def _op(code: int, k: int, yes: int = 0, no: int = 0) -> bytes:
    return struct.pack("=HBBI", code, yes, no, k)


def _alternative(checks: list[Check]) -> list[bytes]:
    """Instructions that return ALLOW where all checks hold and else fall out of the end."""
    steps: list[tuple[bytes, bool | None]] = []  # None: no jump; else: does an equal value go on?
    for check in checks:
        low = (
            16 + 8 * check.argument
        )  # struct seccomp_data: nr, arch, instruction pointer, six arguments; little-endian
        steps += [(_op(_LOAD, low), None), (_op(_AND, check.mask), None)]
        steps.append((struct.pack("=I", check.value), check.equal))
        if check.wide:
            steps += [(_op(_LOAD, low + 4), None), (struct.pack("=I", 0), True)]
    out = []
    for i, (raw, goes_on) in enumerate(steps):
        leave = len(steps) - i  # past the ALLOW at the end
        if goes_on is None:
            out.append(raw)
        else:
            value = struct.unpack("=I", raw)[0]
            out.append(_op(_EQUAL, value, 0 if goes_on else leave, leave if goes_on else 0))
    return [*out, _op(_RETURN, _ALLOW)]


def program(machine: str, pid: int, *, threads: bool) -> bytes:
    """The filter for one process as BPF instructions of 8 bytes each."""
    column = list(_ARCHITECTURES).index(machine)
    out = [_op(_LOAD, 4), _op(_EQUAL, _ARCHITECTURES[machine], 1, 0), _op(_RETURN, _KILL), _op(_LOAD, 0)]
    if machine == "x86_64":  # the x32 calls have numbers of their own for the same things
        out += [_op(_AT_LEAST, _X32, 0, 1), _op(_RETURN, _ERRNO | _EPERM)]
    asked = conditions(pid, threads)
    for name, numbers in ALLOWED.items():
        number = numbers[column]
        if number is None:
            continue
        if name not in asked:
            out += [_op(_EQUAL, number, 0, 1), _op(_RETURN, _ALLOW)]
            continue
        body = [step for checks in asked[name] for step in _alternative(checks)] + [_op(_RETURN, _ERRNO | _EPERM)]
        out += [_op(_EQUAL, number, 0, len(body)), *body]
    for number, _ in ENOSYS.values():
        out += [_op(_EQUAL, number, 0, 1), _op(_RETURN, _ERRNO | _ENOSYS)]
    out.append(_op(_RETURN, _ERRNO | _EPERM))
    assert len(out) < 4096, "the kernel's limit on a filter"
    return b"".join(out)


def available() -> None:
    """`OSError` where the kernel has no filters, or where this process may not ask."""
    syscall("seccomp", 2, 0, byref(c_uint32(_ERRNO)))  # SECCOMP_GET_ACTION_AVAIL


class _Program(Structure):
    _fields_: ClassVar = [("length", c_ushort), ("instructions", c_void_p)]


def install(filter: bytes) -> None:
    """Apply a filter to this thread and all that come from it. Needs `forbid_new_privileges`."""
    held = c_char_p(filter)
    wanted = _Program(len(filter) // 8, cast(held, c_void_p))
    syscall("seccomp", 1, 0, byref(wanted))  # SECCOMP_SET_MODE_FILTER
