"""SwiGLU's silu(gate)·up, and its three results in the backward pass, in one pass over memory each.

silu(x) = x·σ(x), its slope σ(x)·(1 + x·(1 − σ(x))) (arXiv:2002.05202, sec. 2). Arrays are flat.
"""

from __future__ import annotations

import numpy as np
from torch import Tensor

from truing.models.kernels.compiler import Array, U, compiled, spread
from truing.models.kernels.exponential import exp

__all__ = ["silu_gradients", "silu_times"]

_ONE = np.float32(1.0)
_AT_LEAST = 1 << 16  # numbers, some 30 µs, that are worth a thread


def silu_times(gate: Tensor, up: Tensor, out: Tensor) -> None:
    """out = silu(gate)·up: contiguous float32 tensors of one size, on a CPU."""
    spread(_times, _flat(gate), _flat(up), _flat(out), count=gate.numel(), at_least=_AT_LEAST)


def silu_gradients(grad: Tensor, gate: Tensor, up: Tensor) -> None:
    """From g, the gradient of p = silu(gate)·up, in the place of `grad` p, and in that of `gate` and `up` theirs.

    Contiguous float32 tensors of one size, on a CPU, that share no memory.
    """
    spread(_gradients, _flat(grad), _flat(gate), _flat(up), count=gate.numel(), at_least=_AT_LEAST)


def _flat(tensor: Tensor) -> Array:
    flat: Array = tensor.detach().view(-1).numpy()
    return flat


@compiled
def _times(gate: Array, up: Array, out: Array, first: int, last: int) -> None:
    for i in range(U(first), U(last)):
        x = gate[i]
        out[i] = x / (_ONE + exp(-x)) * up[i]


@compiled
def _gradients(grad: Array, gate: Array, up: Array, first: int, last: int) -> None:
    for i in range(U(first), U(last)):
        x, y, g = gate[i], up[i], grad[i]
        share = _ONE / (_ONE + exp(-x))
        acted = x * share
        grad[i] = acted * y
        up[i] = g * acted
        gate[i] = g * y * (share + acted * (_ONE - share))
