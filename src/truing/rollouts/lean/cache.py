"""What attention of a step needs: keys and values of prompts, each once, and of what the rows have said."""

from __future__ import annotations

import mmap
from collections.abc import Sequence
from typing import Protocol

import torch
from torch import Tensor

from truing.rollouts.lean.weights import Layer

__all__ = ["Cache", "zeros"]


class Cache(Protocol):
    """In shapes: H query heads, K key heads, D size of a head. `heads` [tokens, H + 2K, D]: queries, keys, values."""

    def turn(self, layer: Layer, heads: Tensor, positions: Tensor) -> None:
        """Norms of heads, where the layer has them, and rotary embedding, in place: for a prompt's tokens."""
        ...

    def open(self, group: int, store: Tensor) -> None:
        """A prompt's keys and values, [layers, 2, K, tokens, D]."""
        ...

    def close(self, group: int) -> None:
        """A prompt that has no rows and will get none."""
        ...

    def arrange(self, group_of: Sequence[int]) -> None:
        """The group of each row, after rows or groups have changed."""
        ...

    def move(self, source: Sequence[int], target: Sequence[int], used: int) -> None:
        """Row source[i] goes to target[i]; none has more than `used` tokens."""
        ...

    def begin(self, ages: Sequence[int]) -> None:
        """A step of rows that have said so many tokens each."""
        ...

    def attend(self, number: int, layer: Layer, heads: Tensor) -> Tensor:
        """Layer `number`: appends the keys and values of one token a row, attends, and gives [rows, H · D]."""
        ...


def zeros(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """`torch.zeros`; on a CPU memory that is there only from its first use on, page by page: most rows end before
    their room does."""
    if device.type != "cpu":
        return torch.zeros(shape, dtype=dtype, device=device)
    num_bytes = max(1, torch.Size(shape).numel() * dtype.itemsize)
    return (
        torch.frombuffer(mmap.mmap(-1, num_bytes), dtype=torch.uint8)
        .view(dtype)[: torch.Size(shape).numel()]
        .view(shape)
    )
