"""The filter, run here as the kernel would run it, for both machines."""

from __future__ import annotations

import re
import struct
from pathlib import Path

import pytest

from truing.rewards.sandbox.inside.seccomp import ALLOWED, ENOSYS, program

ALLOW, EPERM, NO_SUCH_CALL, KILL = 0x7FFF0000, 0x00050001, 0x00050026, 0x80000000
MACHINES = {"x86_64": (0, 0xC000003E), "aarch64": (1, 0xC00000B7)}


def verdict(code: bytes, number: int, architecture: int, arguments: tuple[int, ...] = ()) -> int:
    """What a BPF program answers to a system call."""
    padded = [*arguments, 0, 0, 0, 0, 0, 0][:6]
    data = struct.pack("=iIQ6Q", number - (1 << 32) * (number >= 1 << 31), architecture, 0, *padded)
    steps = list(struct.iter_unpack("=HBBI", code))
    at = value = 0
    while True:
        what, yes, no, k = steps[at]
        at += 1
        match what:
            case 0x20:
                (value,) = struct.unpack_from("=I", data, k)
            case 0x54:
                value &= k
            case 0x15:
                at += yes if value == k else no
            case 0x35:
                at += yes if value >= k else no
            case 0x06:
                return k
            case _:
                raise AssertionError(f"instruction {what:#x}")


@pytest.mark.parametrize("machine", MACHINES)
@pytest.mark.parametrize(
    ("call", "arguments", "expected"),
    [
        ("read", (0, 0, 0), ALLOW),
        ("clone3", (), NO_SUCH_CALL),
        ("openat", (0, 0, 0o102), ALLOW),
        ("openat", (0, 0, 0o20200000 | 2), EPERM),
        ("openat", (0, 0, 0o1000), EPERM),
        ("openat", (0, 0, 0o1001), ALLOW),
        ("kill", (77, 9), ALLOW),
        ("kill", (1, 9), EPERM),
        ("kill", (0xFFFFFFFF, 9), EPERM),
        ("kill", (0, 9), EPERM),
        ("tgkill", (77, 78, 6), ALLOW),
        ("tgkill", (76, 78, 6), EPERM),
        ("clone", (0x3D0F00,), ALLOW),
        ("clone", (0x7D0F00,), ALLOW),
        ("clone", (17,), EPERM),
        ("clone", (0x3D0F00 | 0x10000000,), EPERM),
        ("socketpair", (1, 1), ALLOW),
        ("socketpair", (1, 0o2000001), ALLOW),
        ("socketpair", (1, 2), EPERM),
        ("socketpair", (2, 1), EPERM),
        ("sendto", (3, 0, 0, 0, 0), ALLOW),
        ("sendto", (3, 0, 0, 0, 0x7F0000000000), EPERM),
        ("sendto", (3, 0, 0, 0, 0x1000), EPERM),
        ("prlimit64", (0, 6, 0), ALLOW),
        ("prlimit64", (0, 6, 1 << 40), EPERM),
        ("prlimit64", (1, 6, 0), EPERM),
        ("prctl", (15,), ALLOW),
        ("prctl", (1,), EPERM),
        ("prctl", (4,), EPERM),
        ("ioctl", (0, 0x5401), ALLOW),
        ("ioctl", (0, 0x5412), EPERM),
        ("fcntl", (0, 3), ALLOW),
        ("fcntl", (0, 8), EPERM),
    ],
)
def test_calls_are_judged_by_their_arguments(
    machine: str, call: str, arguments: tuple[int, ...], expected: int
) -> None:
    column, architecture = MACHINES[machine]
    number = (ALLOWED | ENOSYS)[call][column]
    assert number is not None
    assert verdict(program(machine, 77, threads=True), number, architecture, arguments) == expected


@pytest.mark.parametrize("machine", MACHINES)
def test_without_threads_no_clone_is_allowed(machine: str) -> None:
    column, architecture = MACHINES[machine]
    number = ALLOWED["clone"][column]
    assert number is not None
    assert verdict(program(machine, 77, threads=False), number, architecture, (0x3D0F00,)) == EPERM


@pytest.mark.parametrize("machine", MACHINES)
def test_every_number_that_is_not_in_the_table_is_refused(machine: str) -> None:
    column, architecture = MACHINES[machine]
    code = program(machine, 77, threads=True)
    known = {numbers[column] for numbers in (ALLOWED | ENOSYS).values()}
    assert {verdict(code, n, architecture) for n in range(600) if n not in known} == {EPERM}
    assert verdict(code, 2**31 + 5, architecture) == EPERM


def test_another_architecture_is_the_end_and_x32_is_refused() -> None:
    code = program("x86_64", 77, threads=True)
    assert verdict(code, 0, 0x40000003) == KILL  # i386
    assert verdict(code, 0x40000000, MACHINES["x86_64"][1]) == EPERM
    assert verdict(program("aarch64", 77, threads=True), 63, MACHINES["x86_64"][1]) == KILL


@pytest.mark.parametrize(
    ("column", "header"),
    [(0, "x86_64-linux-gnu/asm/unistd_64.h"), (0, "asm/unistd_64.h"), (1, "asm-generic/unistd.h")],
)
def test_the_numbers_are_those_of_the_kernel_headers(column: int, header: str) -> None:
    path = Path("/usr/include") / header
    if not path.is_file():
        pytest.skip(f"no {path}")
    found = {
        re.sub("^(?:3264_)", "", name): int(number)
        for name, number in re.findall(r"#define __NR_?(\w+) (\d+)", path.read_text())
    }
    found |= {"newfstatat": found["fstatat"]} if "fstatat" in found else {}
    for name, numbers in (ALLOWED | ENOSYS).items():
        if numbers[column] is not None:
            assert found[name] == numbers[column], name


def test_nothing_dangerous_is_in_the_table() -> None:
    dangerous = """
        socket connect bind listen accept sendmsg execve execveat fork vfork ptrace mount umount2 unshare setns bpf
        io_uring_setup userfaultfd keyctl add_key perf_event_open memfd_create shmget msgget semget mq_open symlink link
        chmod fchmod chown setxattr utimensat truncate mknod setuid setresuid capset pidfd_open process_vm_readv
        kexec_load init_module open_by_handle_at personality setrlimit seccomp
    """
    assert [name for name in re.findall(r"\w+", dangerous) if name in ALLOWED] == []
