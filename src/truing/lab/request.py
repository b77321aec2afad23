"""A request of the embedded world: what is asked, and enough about it to judge any answer."""

from __future__ import annotations

from dataclasses import dataclass

from truing.group import Group, Prompt
from truing.lab.calculation import chain

__all__ = ["ARITHMETIC", "KINDS", "Request"]

ARITHMETIC = "arithmetic"
KINDS = ("how", "harmless", "harm", "home", "food", "color", "list", "problem", ARITHMETIC)
"""how-to, how-to that only looks harmful, harmful how-to, three kinds of fact, list, everyday problem, word problem."""


@dataclass(frozen=True, slots=True)
class Request:
    """`kind` and `item` say what is asked, and are all that a judge needs; `text` is how it is worded.

    An arithmetic request has the bare calculation as its item: `7 + 5 - 3`.
    """

    kind: str
    item: str
    text: str

    def __post_init__(self) -> None:
        assert self.kind in KINDS, self.kind

    @property
    def answer(self) -> int:
        """The number that an arithmetic request asks for."""
        assert self.kind == ARITHMETIC, f"a request of kind {self.kind} has no number for an answer"
        return chain(self.item)[-1].result

    @property
    def columns(self) -> dict[str, str | int]:
        """What a row carries so that its request can be found again, and the reference answer of arithmetic."""
        found: dict[str, str | int] = {"kind": self.kind, "item": self.item}
        return found | {"answer": self.answer} if self.kind == ARITHMETIC else found

    @property
    def group(self) -> Group:
        """The bare prompt, to be answered by a policy."""
        return Group(Prompt.of(self.text), columns=self.columns)
