"""What surrounds the helper itself: namespaces, a file system that has almost nothing in it, a user id that owns
nothing.

All of it is made once, by the helper, before it has seen any untrusted code. Where Landlock is there it is the second
wall, and makes the scratch folder a disk of its own; where Landlock is not, its file system is what keeps files apart.
"""

from __future__ import annotations

import contextlib
import os
import signal
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from . import kernel

__all__ = ["SCRATCH", "Walls", "become", "raise_walls", "renew_scratch", "stop_everything"]

SCRATCH = "/scratch"
_FOLDER = f"{SCRATCH}/folder"
_NOSUID, _NODEV, _NOEXEC, _BIND, _REC, _PRIVATE = 2, 4, 8, 4096, 16384, 1 << 18
_ATTR_RDONLY, _ATTR_NOSUID, _ATTR_NODEV = 1, 2, 4


@dataclass(slots=True)
class Walls:
    """`user`: the id that untrusted code gets, None for the helper's own; `scratch`: its folder.

    `private`: the folder is a file system of its own, renewed for every run. `counted`: RLIMIT_NPROC counts what runs
    in this helper and nothing else. `missing`: each wall that could not be raised, with the reason.
    """

    scratch: str
    user: int | None = None
    pids: bool = False
    private: bool = False
    counted: bool = False
    raised: list[str] = field(default_factory=list)
    missing: dict[str, str] = field(default_factory=dict)


def raise_walls(scratch: str, user: int, readable: Sequence[str], without: Sequence[str], bubblewrapped: bool) -> Walls:
    """Raise what this kernel and this user may raise. `without` names walls to leave out: `namespaces`, `user`.

    Forks for a PID namespace: the helper goes on in the child, the parent waits and ends as it does.
    """
    walls = Walls(scratch)
    if bubblewrapped:  # they stand already, with a user namespace
        walls.pids, walls.counted = True, _is_counted()
        walls.raised += ["bubblewrap", "own user"]
    elif "namespaces" in without:
        walls.missing["namespaces"] = "left out as asked"
    else:
        try:
            _namespaces(walls, readable)
        except OSError as error:
            walls.missing["namespaces"] = str(error)
    if os.geteuid() != 0 or "own user" in walls.raised:
        return walls
    if "user" in without:
        walls.missing["user"] = "left out as asked"
        return walls
    reason = _refused(lambda: _use_user(user))
    if reason:
        walls.missing["user"] = reason
    else:
        walls.user, walls.counted = user, True
        walls.raised.append("user")
        if not walls.private:
            os.chown(scratch, user, user)
    return walls


def _namespaces(walls: Walls, readable: Sequence[str]) -> None:
    flags = (
        kernel.CLONE_NEWNS | kernel.CLONE_NEWPID | kernel.CLONE_NEWNET | kernel.CLONE_NEWIPC | kernel.CLONE_NEWUTS
        | kernel.CLONE_NEWCGROUP
    )  # fmt: skip
    # Root may make them at once; others, and root in a container, need a user namespace first, which lets them in.
    # Tried in a process that is thrown away: halfway in there would be no way back.
    refused = _refused(lambda: _enter(flags, readable)) if os.geteuid() == 0 else "not root"
    if refused:
        flags |= kernel.CLONE_NEWUSER
        refused = _refused(lambda: _enter(flags, readable))
    if refused:
        raise OSError(refused)
    _enter(flags, readable)
    if flags & kernel.CLONE_NEWUSER:
        walls.counted = _is_counted()
        walls.raised.append("own user")
    walls.scratch, walls.private = SCRATCH, True
    child = os.fork()
    if child:
        os.close(0)
        _, status = os.waitpid(child, 0)
        os._exit(os.waitstatus_to_exitcode(status) & 0xFF)
    kernel.die_with_parent()
    walls.pids = True
    walls.raised.append("namespaces")


def _is_counted() -> bool:
    # RLIMIT_NPROC does not bind root, in whatever user namespace.
    return os.geteuid() != 0


def _enter(flags: int, readable: Sequence[str]) -> None:
    user, group = os.geteuid(), os.getegid()
    kernel.unshare(flags)
    if flags & kernel.CLONE_NEWUSER:
        for name, text in (("setgroups", "deny"), ("uid_map", f"{user} {user} 1"), ("gid_map", f"{group} {group} 1")):
            with open(f"/proc/self/{name}", "w") as file:
                file.write(text)
    _furnish(readable)


def _refused(work: Callable[[], None]) -> str:
    """Why some work fails, tried in a process that is thrown away; empty where it does not."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            work()
        except BaseException as error:
            os.write(writing, (str(error) or type(error).__name__).encode()[:500])
        finally:
            os._exit(0)
    os.close(writing)
    reason = os.read(reading, 500).decode(errors="replace")
    os.close(reading)
    os.waitpid(child, 0)
    return reason


def _furnish(readable: Sequence[str]) -> None:
    """A root with the folders of the standard library, /dev/null and a place for the scratch folder; read only."""
    root = tempfile.gettempdir()
    kernel.mount("none", "/", None, _REC | _PRIVATE)
    wanted = [(path, os.open(path, os.O_PATH | os.O_CLOEXEC)) for path in (*readable, "/dev/null")]
    kernel.mount("tmpfs", root, "tmpfs", _NOSUID | _NODEV, "mode=755,size=1m,nr_inodes=1k")
    for path, fd in wanted:
        target = root + path
        if os.path.isdir(f"/proc/self/fd/{fd}"):
            os.makedirs(target, exist_ok=True)
        else:
            os.makedirs(os.path.dirname(target), exist_ok=True)
            os.close(os.open(target, os.O_CREAT | os.O_WRONLY, 0o644))
        kernel.mount(f"/proc/self/fd/{fd}", target, None, _BIND)
        device = path.startswith("/dev/")
        kernel.restrict_mount(target, _ATTR_NOSUID | (0 if device else _ATTR_RDONLY | _ATTR_NODEV))
        os.close(fd)
        for packages in ("site-packages", "dist-packages"):  # the standard library, not what is installed
            if os.path.isdir(f"{target}/{packages}"):
                kernel.mount("tmpfs", f"{target}/{packages}", "tmpfs", _NOSUID | _NODEV | _NOEXEC, "mode=755,size=4k")
    os.makedirs(root + _FOLDER)
    os.mkdir(root + "/old")
    kernel.pivot_root(root, root + "/old")
    os.chdir("/")
    kernel.unmount("/old")
    os.rmdir("/old")
    kernel.restrict_mount("/", _ATTR_RDONLY | _ATTR_NOSUID | _ATTR_NODEV)


def _use_user(user: int) -> None:
    become(user)
    with open(os.__file__, "rb"):
        os.listdir(os.path.dirname(os.__file__))


def become(user: int) -> None:
    """Another user, for good, in no group but its own."""
    os.setgroups([])
    os.setresgid(user, user, user)
    os.setresuid(user, user, user)


def renew_scratch(walls: Walls, size: int) -> str:
    """An empty scratch folder for the next run, of `size` bytes at most where it is private."""
    if walls.private:
        with contextlib.suppress(OSError):  # the first time there is none
            kernel.unmount(_FOLDER)
        owner = "" if walls.user is None else f",uid={walls.user},gid={walls.user}"
        options = f"mode=700,size={size},nr_inodes=1k{owner}"
        kernel.mount("tmpfs", _FOLDER, "tmpfs", _NOSUID | _NODEV | _NOEXEC, options)
        return _FOLDER
    os.chmod(walls.scratch, 0o700)
    for entry in os.scandir(walls.scratch):  # flat: Landlock allows no folders in it
        os.unlink(entry.path)
    return walls.scratch


def stop_everything(child: int, walls: Walls) -> None:
    """Kill a run; with a PID namespace of our own, also whatever it might have left."""
    with contextlib.suppress(ProcessLookupError):
        os.kill(child, signal.SIGKILL)
        os.killpg(child, signal.SIGKILL)  # it leads a group of its own, unless it was too young to
    if walls.pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(-1, signal.SIGKILL)  # everybody in the namespace but ourselves
