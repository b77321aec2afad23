"""What is between the products of a step, apart from attention: compiled for float32 on a CPU, else by PyTorch."""

from __future__ import annotations

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from truing.models.kernels.compiler import fits, spread
from truing.rollouts.lean import kernels
from truing.rollouts.lean.weights import Norm

__all__ = ["GRAIN", "add_norm", "gate"]

GRAIN = 50_000
"""So many numbers are worth waking a thread up for."""


def add_norm(x: Tensor, delta: Tensor | None, norm: Norm) -> Tensor:
    """Adds delta to x [N, width], in place, and gives the norm of the sum."""
    if not fits(x):
        return norm(x if delta is None else x.add_(delta))
    out = torch.empty_like(x)
    more = np.zeros(x.shape, np.float32) if delta is None else delta.numpy()
    arrays = x.numpy(), more, norm.array, np.float32(norm.eps), out.numpy()
    spread(kernels.add_norm, *arrays, count=x.shape[0], at_least=GRAIN // x.shape[1])
    return out


def gate(gate_up: Tensor) -> Tensor:
    """silu(g) · u of [g | u] [N, 2 · width]."""
    if not fits(gate_up):
        g, u = gate_up.chunk(2, -1)
        return F.silu(g).mul_(u)
    out = gate_up.new_empty(gate_up.shape[0], gate_up.shape[1] // 2)
    spread(kernels.gate, gate_up.numpy(), out.numpy(), count=out.shape[0], at_least=GRAIN // out.shape[1])
    return out
