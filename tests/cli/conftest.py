"""The command line in this process: starting Python and torch anew takes seconds."""

from __future__ import annotations

import contextlib
import io
import sys
from collections.abc import Callable
from dataclasses import dataclass

import pytest

from truing.cli import main


@dataclass(frozen=True)
class Run:
    returncode: int
    stdout: str
    stderr: str

    def refused(self, *words: str, code: int = 2) -> None:
        """One message with these words, the right exit code, no traceback."""
        assert self.returncode == code, self.stderr
        assert "Traceback" not in self.stderr
        for word in words:
            assert word in self.stderr
        assert self.stderr.count("error:") == 1


@pytest.fixture
def truing() -> Callable[..., Run]:
    """The entry point with these arguments."""

    def run(*arguments: object) -> Run:
        out, err, code = io.StringIO(), io.StringIO(), 0
        before = sys.argv
        sys.argv = ["truing", *map(str, arguments)]
        try:
            with contextlib.redirect_stdout(out), contextlib.redirect_stderr(err):
                main()
        except SystemExit as stop:
            code = int(stop.code or 0)
        finally:
            sys.argv = before
        return Run(code, out.getvalue(), err.getvalue())

    return run
