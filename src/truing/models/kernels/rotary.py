"""Rotary position embedding by halves (arXiv:2104.09864, as Llama has it): queries or keys in one pass over memory."""

from __future__ import annotations

import torch
from torch import Tensor

from truing.models.kernels.compiler import Array, U, compiled, spread

__all__ = ["rotate"]

_AT_LEAST = 1 << 17  # numbers, some 20 µs, that are worth a thread


def rotate(x: Tensor, cos: Tensor, sin: Tensor, back: bool = False) -> Tensor:
    """x·cos + (−x₂, x₁)·sin, x₁ and x₂ the halves of x's rows; `back`: from its gradient that of x.

    x [batch, heads, T, d] -> the same, but [batch, T, heads, d] in memory, as attention wants it; x is copied if it is
    not. cos and sin [batch or 1, T, d]. All are float32, on a CPU; d is even.
    """
    batch, heads, size, width = x.shape
    rows = x.transpose(1, 2).contiguous().view(-1, heads, width)
    out = torch.empty_like(rows)
    turns = (turn.expand(batch, size, width).reshape(-1, width).contiguous() for turn in (cos, sin))
    spread(
        _turn_back if back else _turn, *(each.detach().numpy() for each in (rows, *turns, out)),
        count=rows.shape[0], at_least=_AT_LEAST // (heads * width),
    )  # fmt: skip
    return out.view(batch, size, heads, width).transpose(1, 2)


@compiled
def _turn(x: Array, cos: Array, sin: Array, out: Array, first: int, last: int) -> None:
    half = U(x.shape[2] // 2)
    for t in range(U(first), U(last)):
        for head in range(U(x.shape[1])):
            for i in range(half):
                a, b = x[t, head, i], x[t, head, half + i]
                out[t, head, i] = a * cos[t, i] - b * sin[t, i]
                out[t, head, half + i] = b * cos[t, half + i] + a * sin[t, half + i]


@compiled
def _turn_back(x: Array, cos: Array, sin: Array, out: Array, first: int, last: int) -> None:
    half = U(x.shape[2] // 2)
    for t in range(U(first), U(last)):
        for head in range(U(x.shape[1])):
            for i in range(half):
                a, b = x[t, head, i], x[t, head, half + i]
                out[t, head, i] = a * cos[t, i] + b * sin[t, half + i]
                out[t, head, half + i] = b * cos[t, half + i] - a * sin[t, i]
