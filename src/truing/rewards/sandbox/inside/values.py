"""Values between the process of the tests and the process of the untrusted code: plain data, or a handle.

The types are exact: what arrives is an int, a str, a list, never something that only says that it equals one.
Everything else stays where it is and a handle, a number, stands for it. JSON carries it, so that reading hostile bytes
runs no code.
"""

from __future__ import annotations

import json
import os
from collections import deque
from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import Any

__all__ = ["MOST_BYTES", "decode", "encode", "receive", "send"]

MOST_BYTES = 1 << 26
_DEEPEST = 200
_INT64 = 1 << 63


def encode(value: Any, handle: Callable[[Any], int], depth: int = 0) -> Any:
    """A value as what JSON can say; `handle` gives the number of one that is no plain data.

    Subclasses of plain types become the plain type: a named tuple a tuple, a Counter a dict.
    """
    if depth > _DEEPEST:
        raise ValueError(f"a value is nested more than {_DEEPEST} deep")
    inner = depth + 1
    match value:
        case None | True | False:
            return value
        case int():
            number = int(value)
            return number if -_INT64 <= number < _INT64 else {"int": hex(number)}
        case float():
            return float(value)
        case str():
            return str.__str__(value)
        case list():
            return [encode(v, handle, inner) for v in list.__iter__(value)]
        case tuple():
            return {"tuple": [encode(v, handle, inner) for v in tuple.__iter__(value)]}
        case dict():
            return {"dict": [[encode(k, handle, inner), encode(v, handle, inner)] for k, v in dict.items(value)]}
        case set() | frozenset():
            name = "set" if isinstance(value, set) else "frozenset"
            return {name: [encode(v, handle, inner) for v in value]}
        case bytes() | bytearray():
            return {"bytes" if isinstance(value, bytes) else "bytearray": bytes(value).hex()}
        case complex():
            return {"complex": [value.real, value.imag]}
        case Fraction():
            return {"fraction": [encode(value.numerator, handle), encode(value.denominator, handle)]}
        case Decimal():
            return {"decimal": str(value)}
        case deque():
            return {"deque": [encode(v, handle, inner) for v in value]}
        case range():
            return {"range": [encode(v, handle) for v in (value.start, value.stop, value.step)]}
    return {"handle": handle(value)}


def decode(said: Any, resolve: Callable[[int], Any]) -> Any:
    """The value again. `ValueError` for anything that `encode` does not say, however it is malformed."""
    try:
        return _decode(said, resolve)
    except (TypeError, AttributeError, ArithmeticError, RecursionError, OverflowError, LookupError) as error:
        raise ValueError(f"no value: {type(error).__name__}: {error}") from error


def _decode(said: Any, resolve: Callable[[int], Any]) -> Any:
    if said is None or isinstance(said, bool | int | float | str):
        return said
    if isinstance(said, list):
        return [_decode(v, resolve) for v in said]
    ((name, inside),) = said.items()
    match name:
        case "tuple" | "set" | "frozenset" | "deque":
            kinds = {"tuple": tuple, "set": set, "frozenset": frozenset, "deque": deque}
            return kinds[name](_decode(v, resolve) for v in inside)
        case "dict":
            return {_decode(k, resolve): _decode(v, resolve) for k, v in inside}
        case "int":
            return int(inside, 16)
        case "bytes":
            return bytes.fromhex(inside)
        case "bytearray":
            return bytearray.fromhex(inside)
        case "complex":
            return complex(*inside)
        case "fraction":
            return Fraction(*(_decode(v, resolve) for v in inside))
        case "decimal":
            return Decimal(inside)
        case "range":
            return range(*(_decode(v, resolve) for v in inside))
        case "handle":
            return resolve(int(inside))
    raise ValueError(f"no value: {name!r:.40}")


def send(fd: int, message: Any) -> None:
    """One message: its length in 8 bytes, then JSON."""
    data = json.dumps(message).encode()
    view = memoryview(len(data).to_bytes(8, "big") + data)
    while view:
        view = view[os.write(fd, view) :]


def receive(fd: int) -> Any:
    """The next message; `EOFError` where there is none, or none that can be read."""
    length = int.from_bytes(_read_exactly(fd, 8), "big")
    if length > MOST_BYTES:
        raise EOFError(f"a message of {length} bytes")
    data = _read_exactly(fd, length)
    try:
        return json.loads(data)
    except (ValueError, RecursionError) as error:
        raise EOFError(f"a message that is no JSON: {error}") from error


def _read_exactly(fd: int, count: int) -> bytes:
    parts = bytearray()
    while len(parts) < count:
        part = os.read(fd, min(count - len(parts), 1 << 20))
        if not part:
            raise EOFError("the other side is gone")
        parts += part
    return bytes(parts)
