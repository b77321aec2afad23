"""RMSNorm (arXiv:1910.07467, eq. 4) a row at a time: read twice, the second time from the nearest cache."""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from truing.models.kernels.compiler import Array, U, compiled, spread

__all__ = ["rms_norm", "rms_norm_gradients"]

_ZERO, _ONE = np.float32(0.0), np.float32(1.0)
_AT_LEAST = 1 << 17  # numbers, some 20 µs, that are worth a thread
_BLOCK = 64
"""Rows whose shares of the weight's gradient are added up first: the sum has the same bits on any number of threads."""


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> tuple[Tensor, Tensor]:
    """w·x·s and s = (mean(x²) + eps)^(-1/2): x [..., H] and weight [H], contiguous float32, -> [..., H] and [rows]."""
    rows = x.view(-1, x.shape[-1])
    out, inverse = torch.empty_like(rows), rows.new_empty(rows.shape[0])
    spread(
        _forward, *_arrays(rows, weight), np.float32(eps), *_arrays(out, inverse),
        count=rows.shape[0], at_least=_AT_LEAST // rows.shape[1],
    )  # fmt: skip
    return out.view_as(x), inverse


def rms_norm_gradients(x: Tensor, weight: Tensor, inverse: Tensor, grad: Tensor) -> tuple[Tensor, Tensor]:
    """The gradients of x and of the weight from that of the norm; `inverse` is `rms_norm`'s s. All are contiguous.

    With n = x·s: dx = s·(w·g − n·mean(w·g·n)), dw = Σ g·n.
    """
    rows = x.view(-1, x.shape[-1])
    num_blocks = -(-rows.shape[0] // _BLOCK)
    into, shares = torch.empty_like(rows), rows.new_empty(num_blocks, rows.shape[1])
    spread(
        _backward, *_arrays(rows, weight, inverse, grad.view_as(rows), into, shares),
        count=num_blocks, at_least=_AT_LEAST // (_BLOCK * rows.shape[1]),
    )  # fmt: skip
    return into.view_as(x), shares.sum(0)


def _arrays(*tensors: Tensor) -> list[Array]:
    return [tensor.detach().numpy() for tensor in tensors]


@compiled
def _forward(x: Array, weight: Array, eps: np.float32, out: Array, inverse: Array, first: int, last: int) -> None:
    width = U(x.shape[1])
    for row in range(U(first), U(last)):
        total = _ZERO
        for i in range(width):
            total += x[row, i] * x[row, i]
        s = _ONE / np.sqrt(total / np.float32(width) + eps)
        inverse[row] = s
        for i in range(width):
            out[row, i] = x[row, i] * s * weight[i]


@compiled
def _backward(
    x: Array, weight: Array, inverse: Array, grad: Array, into: Array, shares: Array, first: int, last: int
) -> None:
    num_rows, width = U(x.shape[0]), U(x.shape[1])
    for block in range(U(first), U(last)):
        for i in range(width):
            shares[block, i] = _ZERO
        for row in range(block * U(_BLOCK), min(num_rows, (block + U(1)) * U(_BLOCK))):
            s = inverse[row]
            total = _ZERO
            for i in range(width):
                total += grad[row, i] * weight[i] * x[row, i]
            mean = total * s * s / np.float32(width)
            for i in range(width):
                g, y = grad[row, i], x[row, i]
                into[row, i] = s * (g * weight[i] - y * mean)
                shares[block, i] += g * y * s
