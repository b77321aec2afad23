"""A helper process, seen from the trainer: one run at a time goes in, its outcome comes out."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

from truing.rewards.sandbox.outcome import Capabilities, Limits, Outcome, SandboxError, Status, UnitTests, Verdict

__all__ = ["Lane"]

_OWN = str(Path(__file__).parent)
_START = "import sys; sys.path.insert(0, sys.argv[2]); from inside.helper import main; main()"
_START_SECONDS = 60.0
_GRACE_SECONDS = 20.0
_USERS = 0x70000000  # ids that no machine gives to anybody
_REPORT_BYTES = 16 << 20


class Lane:
    """A helper process. `number` tells apart those of one trainer: what runs in different ones has different users.

    `without` and `landlock` leave out layers: how it is on a machine that does not have them can be tried on one that
    does.
    """

    def __init__(self, number: int, *, without: Sequence[str] = (), landlock: int = 0) -> None:
        if os.name != "posix":
            raise SandboxError(f"there is no sandbox on {sys.platform}", where="sandbox", remedy="Run it on Linux.")
        self.scratch = tempfile.mkdtemp(prefix="truing-sandbox-")
        options = {
            "own": _OWN,
            "scratch": self.scratch,
            "user": _USERS + (os.getpid() & 0xFFFFF) * 64 + 2 * (number % 32),
            "without": list(without),
            "landlock": landlock,
            "bubblewrap": False,
        }
        try:
            hello = self._best_start(options, shutil.which("bwrap") if "bubblewrap" not in without else None)
        except BaseException:
            shutil.rmtree(self.scratch, ignore_errors=True)
            raise
        self.capabilities = Capabilities(tuple(hello["layers"]), dict(hello["missing"]))

    def _best_start(self, options: dict[str, Any], bubblewrap: str | None) -> dict[str, Any]:
        """Start the helper, in bubblewrap where that gives namespaces and the helper cannot make its own."""
        hello = self._start(options, None)
        if "namespaces" not in hello["missing"] or bubblewrap is None:
            return hello
        self._end()
        try:
            return self._start(options | {"bubblewrap": True}, bubblewrap)
        except SandboxError as error:
            hello = self._start(options, None)
            hello["missing"]["bubblewrap"] = error.found
            return hello

    def _start(self, options: dict[str, Any], bubblewrap: str | None) -> dict[str, Any]:
        """Start the helper, perhaps in bubblewrap; what it says when it is ready."""
        # The hash seed is fixed so that sets have the same order, and code the same verdict, in every run.
        environment = {"PYTHONHASHSEED": "0", "MALLOC_ARENA_MAX": "1", "TZ": "UTC", "LC_ALL": "C.UTF-8"}
        if "LD_LIBRARY_PATH" in os.environ:  # some interpreters do not start without
            environment["LD_LIBRARY_PATH"] = os.environ["LD_LIBRARY_PATH"]
        command = [sys.executable, "-s", "-S", "-P", "-B", "-X", "utf8", "-c", _START, json.dumps(options), _OWN]
        self.control, theirs = socket.socketpair()
        started = _wrapped(bubblewrap, self.scratch, command) if bubblewrap else command
        with tempfile.TemporaryFile() as notes, theirs:
            try:
                self.process = subprocess.Popen(
                    started, stdin=theirs.fileno(), stdout=subprocess.DEVNULL, stderr=notes, env=environment, cwd="/",
                    start_new_session=True,
                )  # fmt: skip
            except OSError as error:
                self.control.close()
                raise SandboxError(f"the helper process did not start: {error}", where="sandbox") from error
            theirs.close()
            try:
                hello = self._receive(_START_SECONDS)
                if "failed" in hello:
                    raise SandboxError(hello["failed"])
            except BaseException as error:
                self._end()
                notes.seek(0)
                said = notes.read(2000).decode(errors="replace").strip()
                if not isinstance(error, SandboxError):
                    raise
                raise SandboxError(
                    f"the helper process did not start: {said or error.found}", where="sandbox"
                ) from None
        return hello

    def run(self, code: str, stdin: str, limits: Limits) -> Outcome:
        """Run a program."""
        with contextlib.ExitStack() as stack:
            files = [stack.enter_context(_file(text)) for text in (code, stdin, "", "")]
            said = self._ask("run", files, limits)
            return _outcome(said, files[2], files[3], limits)

    def check(self, code: str, tests: UnitTests, limits: Limits, every: bool) -> Verdict:
        """Run tests on what a code defines."""
        shown = {"preamble": tests.preamble, "entry_point": tests.entry_point}
        job = json.dumps({"code": code, **shown})
        hidden = json.dumps({"tests": tests.each, "test": tests.file, "setup": tests.setup, "every": every, **shown})
        with contextlib.ExitStack() as stack:
            files = [stack.enter_context(_file(text)) for text in (job, "", "", "", hidden, "", "")]
            said = self._ask("check", files, limits)
            outcome = _outcome(said, files[2], files[3], limits)
            return _verdict(_read(files[5], _REPORT_BYTES), outcome)

    def _ask(self, kind: str, files: Sequence[IO[bytes]], limits: Limits) -> dict[str, Any]:
        budget = {
            "cpu_seconds": limits.cpu_seconds,
            "memory": limits.memory,
            "file": max(limits.disk, limits.output + 1),
            "threads": limits.threads,
        }
        asked = {"kind": kind, "wall": limits.wall_seconds, "disk": limits.disk, "budget": budget}
        message = json.dumps(asked).encode()
        try:
            socket.send_fds(self.control, [message], [file.fileno() for file in files])
        except OSError as error:
            raise SandboxError(f"the helper process has ended: {error}", where="sandbox") from error
        said = self._receive(limits.wall_seconds + _GRACE_SECONDS)
        if said["failed"]:
            raise SandboxError(f"a run could not be confined: {said['failed']}", where="sandbox")
        return said

    def _receive(self, seconds: float) -> dict[str, Any]:
        data = b""
        self.control.settimeout(seconds)
        while not data.endswith(b"\n"):
            try:
                part = self.control.recv(1 << 16)
            except TimeoutError:
                raise SandboxError(
                    f"the helper process has said nothing for {seconds:.0f} s", where="sandbox"
                ) from None
            except ConnectionError:
                part = b""
            if not part:
                raise SandboxError("the helper process has ended", where="sandbox")
            data += part
        said = json.loads(data)
        assert isinstance(said, dict)
        return said

    def close(self) -> None:
        """End the helper and everything in it."""
        self._end()
        shutil.rmtree(self.scratch, ignore_errors=True)

    def _end(self) -> None:
        self.control.close()  # it ends when it notices
        try:
            self.process.wait(2.0)
        except subprocess.TimeoutExpired:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self.process.pid, signal.SIGKILL)
            self.process.wait()


def _wrapped(bubblewrap: str, scratch: str, command: list[str]) -> list[str]:
    """Bubblewrap around the helper: its own view of everything, read only but for the scratch folder."""
    return [
        bubblewrap, "--unshare-all", "--unshare-user", "--die-with-parent", "--new-session", "--ro-bind", "/", "/",
        "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp", "--bind", scratch, scratch, "--chdir", "/", "--",
        *command,
    ]  # fmt: skip


def _file(text: str) -> IO[bytes]:
    """A nameless file with a text, read from its beginning."""
    file: IO[bytes]
    if hasattr(os, "memfd_create"):
        file = open(os.memfd_create("truing", os.MFD_CLOEXEC), "w+b")  # noqa: SIM115 closed by the caller
    else:
        file = tempfile.TemporaryFile()  # noqa: SIM115
    file.write(text.encode("utf-8", "surrogatepass"))
    file.seek(0)
    return file


def _read(file: IO[bytes], most: int) -> bytes:
    return os.pread(file.fileno(), most, 0)


def _outcome(said: dict[str, Any], stdout: IO[bytes], stderr: IO[bytes], limits: Limits) -> Outcome:
    texts = [_read(file, limits.output + 1) for file in (stdout, stderr)]
    status, cpu = int(said["status"]), float(said["cpu"])
    verdict: Status = "ok" if status == 0 else "killed" if status < 0 else "error"
    if said["reason"] == "disk":
        verdict = "disk"
    elif said["reason"] == "wall" or (
        # The kernel counts ticks for its limit and reports something finer: on a busy machine they differ by some 5 %.
        status in (-signal.SIGXCPU, -signal.SIGKILL) and cpu >= 0.8 * limits.cpu_seconds
    ):
        verdict = "timeout"
    elif any(len(text) > limits.output for text in texts):
        verdict = "output"
    out, err = (text[: limits.output].decode("utf-8", "replace") for text in texts)
    return Outcome(verdict, out, err, status, float(said["seconds"]), cpu)


def _verdict(report: bytes, outcome: Outcome) -> Verdict:
    """Counts the lines of a report. Tests are data: what they write in there may be anything."""
    planned, results, problem, done = 0, [], "", False
    for line in report.decode("utf-8", "replace").split("\n")[:-1]:
        try:
            said = json.loads(line)
            planned += int(said.get("planned", 0))
            done = done or "done" in said
            problem = problem or str(said.get("text", "") or said.get("failed", ""))
            if "passed" in said:
                results.append(said["passed"] is True)
        except (ValueError, TypeError, AttributeError, OverflowError, RecursionError):
            problem, done = problem or f"a report that cannot be read: {line:.80}", False
            results.append(False)
            break
    if not done and not problem:
        problem = f"the tests did not come to their end: {outcome.status}"
    # Where more `assert`s were met than are written, in a loop, the one that never ended counts too.
    cut_off = not done and len(results) >= planned
    return Verdict(sum(results), max(planned, len(results) + cut_off, 1), problem, outcome)
