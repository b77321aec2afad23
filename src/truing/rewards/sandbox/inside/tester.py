"""The process of the tests: no untrusted code ever runs in it.

The names that the code defines are stand-ins here; calling one asks the other process, and plain data comes back. So
the code cannot see a test or what it expects, change `assert`, `==` or a builtin, end the process, or write the report.
Runs inside the jail too: data files are hostile.
"""

from __future__ import annotations

import ast
import builtins
import contextlib
import importlib
import inspect
import json
import os
import sys
from collections.abc import Callable, Iterator
from types import ModuleType
from typing import Any

from .values import decode, encode, receive, send

__all__ = ["Gone", "Remote", "judge"]


class Gone(BaseException):
    """The process of the untrusted code has ended or talks nonsense. No test that follows can pass."""


class Failed(Exception):
    """The untrusted code raised something that is no builtin exception."""


class Link:
    """The connection to the other process, and the stand-ins for what lives there."""

    def __init__(self, reading: int, writing: int) -> None:
        self.reading, self.writing = reading, writing
        self.gone = False

    def stand_in(self, handle: int) -> Remote:
        return Remote(self, handle)

    def receive(self) -> Any:
        if self.gone:
            raise Gone("the code's process has ended")
        try:
            return receive(self.reading)
        except (EOFError, OSError) as error:
            self.gone = True
            raise Gone(f"the code's process has ended: {error}") from None

    def ask(self, do: str, *arguments: Any, **named: Any) -> Any:
        def said(value: Any) -> Any:
            return encode(value, _handle)

        question = {"do": do, "args": [said(a) for a in arguments], "kwargs": {k: said(v) for k, v in named.items()}}
        try:
            send(self.writing, question)
        except OSError as error:
            self.gone = True
            raise Gone(f"the code's process has ended: {error}") from None
        reply = self.receive()
        try:
            if "raised" in reply:
                raise _exception(reply["raised"], str(reply["text"]), do)
            value = decode(reply["value"], self.stand_in)
            changed = {int(i): decode(new, self.stand_in) for i, new in reply["changed"].items()}
        except (ValueError, TypeError, KeyError, AttributeError) as error:
            if isinstance(reply, dict) and "raised" in reply:
                raise
            self.gone = True
            raise Gone(f"the code's process does not speak as it should: {error}") from None
        for i, new in changed.items():
            if i < len(arguments):
                _overwrite(arguments[i], new)
        return value


def _exception(names: Any, text: str, do: str) -> Exception:
    for name in names:
        if name == "StopIteration" and do != "next":
            break  # in a `map` of the test it would end the test as if all was well
        kind = getattr(builtins, name, None) if isinstance(name, str) else None
        if isinstance(kind, type) and issubclass(kind, Exception):
            try:
                return kind(text)
            except TypeError:  # UnicodeDecodeError and its like: its parent will do
                continue
    return Failed(f"{names[0] if names else ''}: {text}")


def _overwrite(value: Any, new: Any) -> None:
    if type(value) is not type(new):
        return
    if isinstance(value, list | bytearray):
        value[:] = new
    elif isinstance(value, dict | set):
        value.clear()
        value.update(new)


class Remote:
    """Stands for an object of the other process. It equals nothing but such objects."""

    __slots__ = ("_handle", "_link")

    def __init__(self, link: Link, handle: int) -> None:
        object.__setattr__(self, "_link", link)
        object.__setattr__(self, "_handle", handle)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self._link.ask("call", self, *args, **kwargs)

    def __getattr__(self, name: str) -> Any:
        return self._link.ask("get", self, name)

    def __setattr__(self, name: str, value: Any) -> None:
        self._link.ask("set", self, name, value)

    def __eq__(self, other: object) -> bool:
        # Asked about plain data, its own `==` could say yes to everything.
        if not isinstance(other, Remote):
            return False
        return self._handle == other._handle or self._link.ask("eq", self, other) is True

    def __hash__(self) -> int:
        value = self._link.ask("hash", self)
        return value if isinstance(value, int) else 0

    def __iter__(self) -> Iterator[Any]:
        iterator = self._link.ask("iter", self)
        if not isinstance(iterator, Remote):
            raise TypeError("iter() of it is no iterator")
        while True:
            try:
                yield self._link.ask("next", iterator)
            except StopIteration:
                return

    def __next__(self) -> Any:
        return self._link.ask("next", self)

    def __repr__(self) -> str:
        return str(self._link.ask("repr", self))

    def __str__(self) -> str:
        return str(self._link.ask("str", self))

    def __bool__(self) -> bool:
        return self._link.ask("bool", self) is True

    def __len__(self) -> int:
        value = self._link.ask("len", self)
        return value if isinstance(value, int) else -1

    def __contains__(self, item: Any) -> bool:
        return self._link.ask("contains", self, item) is True


def _operator(name: str) -> Callable[..., Any]:
    def method(self: Remote, *others: Any) -> Any:
        return self._link.ask(name, self, *others)

    return method


for _name in ("getitem", "setitem", "delitem", "lt", "le", "gt", "ge", "add", "sub", "mul", "truediv", "mod", "pow"):
    setattr(Remote, f"__{_name}__", _operator(_name))


def _handle(value: Any) -> int:
    if isinstance(value, Remote):
        return int(value._handle)
    raise TypeError(f"a test cannot hand a {type(value).__name__} to the code: only plain data and what came from it")


class Report:
    """What the trainer reads: a line of JSON for each test, written at once, so that a kill loses nothing."""

    def __init__(self, fd: int) -> None:
        self.fd = fd

    def say(self, **what: Any) -> None:
        os.write(self.fd, json.dumps(what).encode() + b"\n")

    def passed(self) -> None:
        self.say(passed=True)

    def failed(self, error: BaseException, test: str = "") -> None:
        text = f"{type(error).__name__}: {error}".strip()
        self.say(passed=False, text=(f"{test}: {text}" if test else text)[:1000])


def judge(job: dict[str, Any], reading: int, writing: int, reporting: int) -> None:
    """Run the tests of a job against the code in the other process, and report each."""
    report, link = Report(reporting), Link(reading, writing)
    every, tests = job["every"], job["tests"]
    report.say(planned=_planned(job["test"], every) + len(tests))
    try:
        hello = link.receive()
        space = _space(job, hello, link)
    except Gone as error:
        report.say(failed=str(error))
        return
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        report.say(failed=f"the code's process does not speak as it should: {error}")
        return
    if space is None:
        report.say(failed=str(hello["failed"])[-1000:])
        return
    try:
        exec(compile(job["setup"], "setup.py", "exec"), space)
    except BaseException as error:
        report.failed(error, "test setup")
        report.say(done=True)
        return
    good = True
    for test in tests:
        good = _unit(report, link, test, space) and good
        if link.gone or not (good or every):
            break
    if job["test"] and not link.gone and (good or every):
        _whole(job, space, link, report, every)
    report.say(done=True)


def _unit(report: Report, link: Link, test: str, space: dict[str, Any]) -> bool:
    """Run one test; whether it passed."""
    try:
        exec(compile(test, "test.py", "exec"), space)
        if link.gone:
            raise Gone("the code's process has ended")
    except BaseException as error:
        report.failed(error, test.strip()[:300])
        return False
    report.passed()
    return True


def _space(job: dict[str, Any], hello: Any, link: Link) -> dict[str, Any] | None:
    """The names that tests see: those of the code as stand-ins, and over them what the prompt itself defines."""
    if "failed" in hello:
        return None
    theirs: dict[str, Any] = {str(name): decode(value, link.stand_in) for name, value in hello["names"].items()}
    for name, module in hello["modules"].items():
        if isinstance(module, str) and module in sys.stdlib_module_names:
            theirs[str(name)] = importlib.import_module(module)
    entry_point = job["entry_point"]
    space: dict[str, Any] = {"__builtins__": builtins, "__name__": "tests", **theirs}
    with contextlib.suppress(SyntaxError):  # a function without a body: it defines no helpers
        exec(compile(job["preamble"], "prompt.py", "exec"), space)
    if entry_point in theirs:
        space[entry_point] = theirs[entry_point]
    else:
        space.pop(entry_point, None)
    solution = ModuleType("solution")
    solution.__dict__.update(theirs)
    sys.modules["solution"] = solution
    return space


def _planned(test: str, every: bool) -> int:
    """How many tests a file of tests has, as far as one can tell before it runs."""
    if not test:
        return 0
    try:
        tree = ast.parse(test)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return 1
    return max(1, sum(_is_test(node) for node in ast.walk(tree))) if every else 1


def _is_test(node: ast.AST) -> bool:
    """Whether it is an `assert` of something: `assert True`, which HumanEval has too, would be a point for nothing."""
    return isinstance(node, ast.Assert) and not (isinstance(node.test, ast.Constant) and bool(node.test.value))


class _Counted(ast.NodeTransformer):
    """Every `assert` becomes a test of its own, that reports and lets the next one have its turn."""

    def visit_Assert(self, node: ast.Assert) -> ast.AST:
        if not _is_test(node):
            return node
        text = ast.unparse(node)
        counted = ast.parse(
            "try:\n    pass\nexcept BaseException as _error:\n    _failed(_error, '')\nelse:\n    _passed()"
        ).body[0]
        assert isinstance(counted, ast.Try)
        counted.body = [node]
        call = counted.handlers[0].body[0]
        assert isinstance(call, ast.Expr)
        assert isinstance(call.value, ast.Call)
        call.value.args[1] = ast.Constant(text[:300])
        return ast.copy_location(counted, node)


def _whole(job: dict[str, Any], space: dict[str, Any], link: Link, report: Report, every: bool) -> None:
    """A file of tests: its statements, then `check(entry point)` where it has one, then each `test_...`."""
    said = 0

    def passed() -> None:
        nonlocal said
        if link.gone:
            raise Gone("the code's process has ended")
        said += 1
        report.passed()

    def failed(error: BaseException, test: str) -> None:
        nonlocal said
        said += 1
        report.failed(error, test)
        if link.gone:
            raise Gone("the code's process has ended")

    def run() -> None:
        tree = ast.parse(job["test"])
        if every:
            tree = ast.fix_missing_locations(_Counted().visit(tree))
            space["_passed"], space["_failed"] = passed, failed
        exec(compile(tree, "test.py", "exec"), space)
        if job["entry_point"] and inspect.isfunction(space.get("check")):
            if job["entry_point"] not in space:
                raise NameError(f"the code does not define `{job['entry_point']}`")
            space["check"](space[job["entry_point"]])
        for name, function in list(space.items()):
            if name.startswith("test_") and inspect.isfunction(function):
                function()
        if link.gone:
            raise Gone("the code's process has ended")

    try:
        run()
    except BaseException as error:
        if not (isinstance(error, Gone) and said):
            report.failed(error)
    else:
        if not said:
            report.passed()
