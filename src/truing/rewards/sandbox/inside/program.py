"""Untrusted code as a program: standard input in, standard output out. Runs inside the jail."""

from __future__ import annotations

import builtins
import linecache
import os
import random
import sys
import threading
import traceback
from types import ModuleType
from typing import NoReturn

__all__ = ["fresh_module", "fresh_streams", "leave", "run"]

FILE = "program.py"
_STREAMS = (("stdin", "r", "replace"), ("stdout", "w", "backslashreplace"), ("stderr", "w", "backslashreplace"))


def fresh_streams() -> None:
    """Standard streams on the descriptors 0, 1 and 2, whatever these were when the interpreter started."""
    for fd, (name, mode, errors) in enumerate(_STREAMS):
        stream = open(fd, mode, encoding="utf-8", errors=errors, closefd=False)  # noqa: SIM115 open to the end
        setattr(sys, name, stream)
        setattr(sys, f"__{name}__", stream)


def fresh_module(name: str, source: str) -> ModuleType:
    """An empty module for code, known to the interpreter and to tracebacks; with `exit` and `quit`, as usual."""
    module = ModuleType(name)
    sys.modules[name] = module
    module.__dict__["__builtins__"] = builtins
    builtins.exit = builtins.quit = sys.exit  # type: ignore[assignment]
    linecache.cache[FILE] = (len(source), None, source.splitlines(keepends=True), FILE)
    random.seed(0)  # the same code gets the same verdict
    return module


def run(source: str) -> NoReturn:
    """Run a program to its end, threads included, and end the process with its exit status."""
    sys.argv = [FILE]
    status: object = None
    try:
        exec(compile(source, FILE, "exec"), fresh_module("__main__", source).__dict__)
    except SystemExit as end:
        status = end.code
    except BaseException:
        _print_error()
        status = 1
    for thread in threading.enumerate():
        if thread is not threading.main_thread() and not thread.daemon:
            thread.join()
    if status is not None and not isinstance(status, int):
        print(status, file=sys.stderr)
        status = 1
    leave(status or 0)


def _print_error() -> None:
    kind, error, trace = sys.exc_info()
    while trace is not None and trace.tb_frame.f_code.co_filename != FILE:  # our own frames say nothing to its author
        trace = trace.tb_next
    traceback.print_exception(kind, error, trace)


def leave(status: int) -> NoReturn:
    """End the process at once, with what was printed written out."""
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError, AttributeError):  # full, or closed or replaced by the program
            status = status or 1
    os._exit(status & 0xFF)
