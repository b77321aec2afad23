"""Values cross as what they are, and nothing hostile becomes more than data."""

from __future__ import annotations

import math
import os
from collections import Counter, deque, namedtuple
from decimal import Decimal
from fractions import Fraction
from typing import Any

import pytest

from truing.rewards.sandbox.inside.values import decode, encode, receive, send

Pair = namedtuple("Pair", "a b")


def there_and_back(value: Any) -> Any:
    held: list[Any] = []

    def hold(thing: Any) -> int:
        held.append(thing)
        return len(held) - 1

    reading, writing = os.pipe()
    send(writing, encode(value, hold))
    said = receive(reading)
    os.close(reading)
    os.close(writing)
    return decode(said, held.__getitem__)


@pytest.mark.parametrize(
    "value",
    [None, True, False, 0, -5, 2**63, -(10**50), 1.5, math.inf, "", "é\udc80\x00", b"\x00\xff", bytearray(b"a"), 1 + 2j,
     [1, [2, (3,)]], (), {1: "a", (2, 3): [4]}, {1, 2}, frozenset({1}), Fraction(1, 3), Decimal("0.10"), deque([1, 2]),
     range(0, 9, 2), {"int": "0x1"}, {"handle": 0}],
    ids=repr,
)  # fmt: skip
def test_plain_data_comes_back_equal_and_of_its_type(value: Any) -> None:
    back = there_and_back(value)
    assert back == value
    assert type(back) is type(value)


def test_not_a_number_stays_that() -> None:
    assert math.isnan(there_and_back(math.nan))


def test_subclasses_become_the_plain_type() -> None:
    class Liar(int):
        def __eq__(self, other: object) -> bool:
            return True

        __hash__ = int.__hash__

    for value, plain in ((Liar(7), 7), (Pair(1, 2), (1, 2)), (Counter("aab"), {"a": 2, "b": 1})):
        back = there_and_back(value)
        assert type(back) in (int, tuple, dict)
        assert back == plain
    assert there_and_back(Liar(7)) != 8


def test_anything_else_is_a_handle() -> None:
    thing = object()
    assert there_and_back([thing])[0] is thing


def test_what_is_too_deep_is_refused() -> None:
    deep: list[Any] = []
    for _ in range(300):
        deep = [deep]
    with pytest.raises(ValueError, match="nested more than 200 deep"):
        encode(deep, id)
    loop: list[Any] = []
    loop.append(loop)
    with pytest.raises(ValueError, match="nested"):
        encode(loop, id)


@pytest.mark.parametrize(
    "said",
    [{}, {"a": 1}, {"int": 5}, {"int": "x"}, {"tuple": 5}, {"set": [[]]}, {"dict": [[1]]}, {"dict": [[[], 1]]},
     {"bytes": "zz"}, {"complex": ["1", "2"]}, {"fraction": [1, 0]}, {"decimal": "x"}, {"handle": 99}, {"handle": "x"},
     {"range": [1.5]}, {"int": "1", "handle": 0}, [{"int": None}]],
    ids=repr,
)  # fmt: skip
def test_malformed_values_are_a_value_error(said: Any) -> None:
    with pytest.raises(ValueError):  # noqa: PT011 the texts are Python's own
        decode(said, [].__getitem__)


@pytest.mark.parametrize("data", [b"", b"1", bytes(8), (1 << 40).to_bytes(8, "big"), (4).to_bytes(8, "big") + b"[[[["])
def test_a_broken_message_is_an_end(data: bytes) -> None:
    reading, writing = os.pipe()
    os.write(writing, data)
    os.close(writing)
    with pytest.raises(EOFError):
        receive(reading)
    os.close(reading)
