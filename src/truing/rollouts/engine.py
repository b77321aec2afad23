"""What the scheduler asks of whoever runs the model: groups are opened, rows spawned, stepped and moved."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

from torch import Tensor

__all__ = ["Engine", "Moves", "fill_holes"]


@dataclass(frozen=True, slots=True)
class Moves:
    """How rows close ranks: row `source[i]` goes to `target[i]`, then the first `left` rows are the live ones."""

    source: list[int]
    target: list[int]
    left: int


def fill_holes(ended: Sequence[int], num_rows: int) -> Moves:
    """The last living rows take the places of ended ones: moves at most as many rows as ended, never all."""
    gone = set(ended)
    left = num_rows - len(gone)
    return Moves([i for i in range(left, num_rows) if i not in gone], [i for i in sorted(gone) if i < left], left)


class Engine(Protocol):
    """A model with room for rows. A group is a prompt's keys and values; its rows are responses in the making."""

    def prefill(self, prompts: Sequence[list[int]]) -> tuple[list[int], Tensor]:
        """Opens a group per prompt; their numbers, and the logits [prompts, vocab] of the first response token."""
        ...

    def spawn(self, groups: Sequence[int]) -> None:
        """Appends one row per entry, each to the group named."""
        ...

    def step(self, tokens: Tensor) -> Tensor:
        """Appends tokens [rows] to all rows; the logits [rows, vocab] of what follows."""
        ...

    def move(self, moves: Moves) -> None:
        """Drops ended rows."""
        ...

    def close(self, group: int) -> None:
        """A group that has no rows and will get none."""
        ...
