"""Bare calculations such as `7 + 5 - 3`, and the steps that work them out."""

from __future__ import annotations

import re
from dataclasses import dataclass

__all__ = ["Step", "chain", "equations", "is_calculation"]

_CALCULATION = re.compile(r"\d{1,6}( [+-] \d{1,6}){1,9}")
_EQUATION = re.compile(r"(?<![\d+-] )\b(\d{1,6}) ([+-]) (\d{1,6}) = (-?\d{1,6})\b")


@dataclass(frozen=True, slots=True)
class Step:
    """One operation as somebody wrote it, right or wrong: `left sign right = result`."""

    left: int
    sign: str
    right: int
    result: int

    @property
    def is_correct(self) -> bool:
        """Whether what was written is true."""
        return self.result == (self.left + self.right if self.sign == "+" else self.left - self.right)

    def __str__(self) -> str:
        return f"{self.left} {self.sign} {self.right} = {self.result}."

    @classmethod
    def of(cls, left: int, sign: str, right: int) -> Step:
        """The step worked out rightly."""
        return cls(left, sign, right, left + right if sign == "+" else left - right)


def is_calculation(text: str) -> bool:
    """Whether text is a bare calculation: numbers with ` + ` or ` - ` between them."""
    return _CALCULATION.fullmatch(text) is not None


def chain(calculation: str) -> list[Step]:
    """`7 + 5 - 3` as the steps `7 + 5 = 12`, `12 - 3 = 9`."""
    assert is_calculation(calculation), calculation
    first, *rest = calculation.split(" ")
    steps: list[Step] = []
    for sign, number in zip(rest[::2], rest[1::2], strict=True):
        steps.append(Step.of(steps[-1].result if steps else int(first), sign, int(number)))
    return steps


def equations(text: str) -> list[Step]:
    """The steps that a text claims; a longer sum such as `1 + 2 + 3 = 6` is none."""
    return [Step(int(a), sign, int(b), int(c)) for a, sign, b, c in _EQUATION.findall(text)]
