"""The process of the untrusted code: it defines its functions, and calls them when the process of the tests asks.

It never sees a test, nor what a test expects: arguments come in, values go out. Runs inside the jail.
"""

from __future__ import annotations

import builtins
import contextlib
import operator
import re
import sys
import traceback
from collections.abc import Callable
from types import CodeType, ModuleType
from typing import Any

from .program import FILE, fresh_module
from .values import decode, encode, receive, send

__all__ = ["OPERATIONS", "serve"]

_BINARY = ("eq", "ne", "lt", "le", "gt", "ge", "add", "sub", "mul", "truediv", "floordiv", "mod", "pow", "contains")
_OTHERS: dict[str, Callable[..., Any]] = {
    "call": lambda function, *args, **kwargs: function(*args, **kwargs),
    "get": getattr,
    "set": setattr,
    "iter": iter,
    "next": next,
    "len": len,
    "repr": repr,
    "str": str,
    "bool": bool,
    "hash": hash,
    "getitem": operator.getitem,
    "setitem": operator.setitem,
    "delitem": operator.delitem,
}
OPERATIONS = _OTHERS | {name: getattr(operator, name) for name in _BINARY}


def serve(job: dict[str, Any], reading: int, writing: int) -> None:
    """Define what the code defines, say its names, and answer until nobody asks any more."""
    held: list[Any] = []

    def handle(value: Any) -> int:
        held.append(value)
        return len(held) - 1

    def said(value: Any) -> Any:
        return encode(value, handle)

    try:
        module = fresh_module("solution", job["code"])
        for part in _parts(job["code"], job["preamble"], job["entry_point"]):
            exec(part, module.__dict__)
        names = {name: said(value) for name, value in module.__dict__.items() if _public(name, value)}
        modules = {n: v.__name__ for n, v in module.__dict__.items() if isinstance(v, ModuleType)}
    except BaseException as error:
        send(writing, {"failed": "".join(traceback.format_exception_only(type(error), error))[-2000:]})
        return
    _answer(writing, {"names": names, "modules": modules})
    while True:
        try:
            asked = receive(reading)
        except EOFError:
            return
        try:
            arguments = [decode(a, held.__getitem__) for a in asked["args"]]
            named = {name: decode(a, held.__getitem__) for name, a in asked["kwargs"].items()}
            value = said(OPERATIONS[asked["do"]](*arguments, **named))
            reply = {"value": value, "changed": _changed(asked["args"], arguments, said)}
        except BaseException as error:
            reply = {"raised": [kind.__name__ for kind in type(error).__mro__], "text": _text(error)}
        _answer(writing, reply)


def _answer(writing: int, what: dict[str, Any]) -> None:
    # What was printed goes out first: after the last answer this process is ended, not asked to end.
    with contextlib.suppress(OSError, ValueError, AttributeError):  # full, or closed or replaced by the code
        sys.stdout.flush()
        sys.stderr.flush()
    send(writing, what)


def _public(name: str, value: Any) -> bool:
    return not name.startswith("__") and not isinstance(value, ModuleType)


def _parts(code: str, preamble: str, entry_point: str | None) -> list[CodeType]:
    """What to execute: the preamble (the start of a file that the prompt shows), then the code.

    Code that does not define the entry point goes on where the preamble ends, in the middle of a function.
    """
    name = re.escape(entry_point or "")
    defines = not entry_point or re.search(rf"^(?:async\s+def|def|class)\s+{name}\b|^{name}\s*[:=]", code, re.MULTILINE)
    if not preamble or defines:
        own = compile(code, FILE, "exec")
        try:
            return [compile(preamble, "prompt.py", "exec"), own]
        except SyntaxError:  # a function without a body: there is nothing to execute yet
            return [own]
    try:
        return [compile(preamble + code, FILE, "exec")]
    except SyntaxError as error:
        try:  # its first spaces were stripped
            return [compile(f"{preamble}    {code.lstrip()}", FILE, "exec")]
        except SyntaxError:
            raise error from None


def _changed(before: list[Any], now: list[Any], said: Callable[[Any], Any]) -> dict[str, Any]:
    """Arguments that the call has changed in place: tests look at these too."""
    out = {}
    for i, (old, value) in enumerate(zip(before, now, strict=True)):
        if type(value) in (list, dict, set, bytearray):
            new = said(value)
            if new != old:
                out[str(i)] = new
    return out


def _text(error: BaseException) -> str:
    try:
        return builtins.str(error)[:2000]
    except BaseException:
        return ""
