"""float32 matrix products on a CPU by the faster of PyTorch's two libraries.

`torch.mm` multiplies float32 with MKL, which on AMD processors stays with 256-bit instructions; oneDNN, which PyTorch
ships as well, uses 512-bit ones where the processor has them: twice as fast on Zen 5, in the same float32. oneDNN also
reads a transposed matrix in place. Everywhere else `torch.mm` is at least as good and is what is used.

The choice depends on the processor alone and never on a measurement, so that a run repeats itself bit for bit.
"""

from __future__ import annotations

import os
from functools import cache
from pathlib import Path
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

__all__ = ["Linear", "linear", "onednn_is_faster", "product", "weight_gradient"]

# oneDNN makes a kernel for every shape and keeps the last 1,024 of them, in two caches. Batches of ever new lengths
# fill them, a quarter of a gigabyte; a micro-batch has some twenty shapes. Read when the first kernel is made.
os.environ.setdefault("LRU_CACHE_CAPACITY", "64")
os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "64")


@cache
def onednn_is_faster() -> bool:
    """Whether this is an AMD processor with AVX-512 and a PyTorch that hands out oneDNN's products."""
    if torch.backends.cpu.get_cpu_capability() != "AVX512" or not torch._C._has_mkldnn:
        return False
    try:
        vendor = "AuthenticAMD" in Path("/proc/cpuinfo").read_text()
    except OSError:  # not Linux: the vendor is not known, and torch.mm is right anyway
        return False
    return vendor and hasattr(torch.ops.mkldnn, "_linear_pointwise")


def _by_onednn(tensor: Tensor) -> bool:
    # an empty matrix has no primitive
    return tensor.device.type == "cpu" and tensor.dtype == torch.float32 and tensor.numel() > 0 and onednn_is_faster()


def product(left: Tensor, right: Tensor) -> Tensor:
    """left·rightᵀ, [M, K] and [N, K] -> [M, N], without a gradient.

    Either may be a transposed view; `left` is then copied. Any other view of `right` must be contiguous: oneDNN
    multiplies a slice of columns a hundred times slower.
    """
    if _by_onednn(left) and right.dtype == torch.float32:
        return _onednn(left, right, None)
    return torch.mm(left, right.t())


def _onednn(left: Tensor, right: Tensor, bias: Tensor | None) -> Tensor:
    out: Tensor = torch.ops.mkldnn._linear_pointwise(left, right, bias, "none", [], "")
    return out


def linear(x: Tensor, weight: Tensor, bias: Tensor | None = None) -> Tensor:
    """F.linear: x·weightᵀ + bias; x [..., K], weight [N, K], bias [N] -> [..., N]. Differentiable once."""
    if not (_by_onednn(x) and weight.dtype == torch.float32) or torch.is_autocast_enabled("cpu"):
        return F.linear(x, weight, bias)
    if torch.is_grad_enabled():
        out: Tensor = _Linear.apply(x, weight, bias)  # type: ignore[no-untyped-call]
        return out
    return _onednn(x, weight, bias)


class _Linear(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        ctx.save_for_backward(x, weight)
        return _onednn(x, weight, bias)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        x, weight = ctx.saved_tensors
        wants_x, wants_weight, wants_bias = ctx.needs_input_grad
        rows = grad.flatten(0, -2)
        return (
            _onednn(grad, weight.t(), None) if wants_x else None,
            weight_gradient(rows, x.flatten(0, -2)) if wants_weight else None,
            rows.sum(0) if wants_bias else None,
        )


def weight_gradient(grad: Tensor, x: Tensor) -> Tensor:
    """gradᵀ·x: [T, N] and [T, K] -> [N, K]. Of the two the narrower is copied, transposed."""
    if not _by_onednn(grad):
        return torch.mm(grad.t(), x)
    if grad.shape[1] <= x.shape[1]:
        return _onednn(grad.t(), x.t(), None)
    return _onednn(x.t(), grad.t(), None).t()


class Linear(nn.Linear):
    """An `nn.Linear` whose products take the faster way; same weights, same name, same numbers to rounding."""

    def forward(self, input: Tensor) -> Tensor:
        return linear(input, self.weight, self.bias)
