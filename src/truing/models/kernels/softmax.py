"""Softmax over rows of a matrix: the highest, the powers and their sum while a row is in the nearest caches.

A logit of -inf, or one so low that its power is no normal float32, has a probability of exactly 0. A row with NaN or
+inf, or of nothing but -inf, becomes NaN.
"""

from __future__ import annotations

import math
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from truing.models.kernels.compiler import Array, compiled, spread
from truing.models.kernels.exponential import exp

__all__ = ["highest_of", "log_sums", "powers_", "softmax_"]

_LEAST = np.int32(-(1 << 31))
_LOWEST = np.float32(-87)
_ZERO, _ONE = np.float32(0), np.float32(1)
# numbers that a thread is woken up for: some 30 µs
_AT_LEAST = 1 << 17


@compiled
def highest_of(x: Array, row: int, count: int) -> np.float32:
    """The highest of x[row, :count], NaN if one is NaN; for kernels."""
    # as integers that are in the order of the numbers: a maximum that respects NaN is made one after the other
    bits = x.view(np.int32)
    most = _LEAST
    for j in range(count):
        n = bits[row, j]
        n ^= (n >> np.int32(31)) & np.int32(0x7FFFFFFF)
        most = max(most, n)
    most ^= (most >> np.int32(31)) & np.int32(0x7FFFFFFF)
    found: np.float32 = np.int32(most).view(np.float32)
    return found


@compiled
def _log_sums(x: Array, highest: Array, log_total: Array, first: int, last: int) -> None:
    for row in range(first, last):
        top, total = highest_of(x, row, x.shape[1]), _ZERO
        for j in range(x.shape[1]):
            y = x[row, j] - top
            total += _ZERO if y < _LOWEST else exp(y)
        highest[row], log_total[row] = top, math.log(total)


@compiled
def _softmax(x: Array, highest: Array, log_total: Array, first: int, last: int) -> None:
    for row in range(first, last):
        top, total = highest_of(x, row, x.shape[1]), _ZERO
        for j in range(x.shape[1]):
            y = x[row, j] - top
            e = _ZERO if y < _LOWEST else exp(y)
            x[row, j] = e
            total += e
        part = _ONE / total
        for j in range(x.shape[1]):
            x[row, j] *= part
        highest[row], log_total[row] = top, math.log(total)


@compiled
def _powers(x: Array, shift: Array, first: int, last: int) -> None:
    for row in range(first, last):
        less = shift[row]
        for j in range(x.shape[1]):
            y = x[row, j] - less
            x[row, j] = _ZERO if y < _LOWEST else exp(y)


def log_sums(x: Tensor) -> tuple[Tensor, Tensor]:
    """Of x [rows, columns]: the highest of each row, and log Σ e^(x − highest), [rows] both: log-sum-exp in two parts.

    x is float32, contiguous, and on a CPU, here and below (`compiler.fits`).
    """
    found = torch.empty(2, x.shape[0])
    _by_row(_log_sums, x, found[0], found[1])
    return found[0], found[1]


def softmax_(x: Tensor) -> tuple[Tensor, Tensor]:
    """x becomes softmax(x) by row; what `log_sums` says of it."""
    found = torch.empty(2, x.shape[0])
    _by_row(_softmax, x, found[0], found[1])
    return found[0], found[1]


def powers_(x: Tensor, shift: Tensor) -> Tensor:
    """e^(x − shift) in place, x [rows, columns], shift [rows]; no exponent may be above 88."""
    _by_row(_powers, x, shift.contiguous())
    return x


def _by_row(kernel: Callable[..., None], *tensors: Tensor) -> None:
    rows, columns = tensors[0].shape
    arrays = [tensor.detach().numpy() for tensor in tensors]
    spread(kernel, *arrays, count=rows, at_least=_AT_LEAST // max(1, columns))
