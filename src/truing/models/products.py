"""float32 matrix products on a CPU by the faster of PyTorch's two libraries (`precision.py` says which that is).

oneDNN also reads a transposed matrix in place. Where it is not the faster one, `torch.mm` is what is used.
"""

from __future__ import annotations

import os
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from truing.models.precision import by_onednn, onednn_is_faster, products_are_exact

__all__ = ["Linear", "linear", "product", "weight_gradient"]

# oneDNN makes a kernel for every shape and keeps the last 1,024 of them, in two caches. Batches of ever new lengths
# fill them, a quarter of a gigabyte; a micro-batch has some forty shapes, and sampling seventy. Read when the first
# kernel is made.
os.environ.setdefault("LRU_CACHE_CAPACITY", "128")
os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "128")


def _by_onednn(tensor: Tensor) -> bool:
    # an empty matrix has no primitive
    return tensor.device.type == "cpu" and tensor.dtype == torch.float32 and tensor.numel() > 0 and onednn_is_faster()


def product(left: Tensor, right: Tensor, out: Tensor | None = None) -> Tensor:
    """left·rightᵀ, [M, K] and [N, K] -> [M, N], without a gradient; in `out` if there is one.

    Either may be a transposed view; `left` is then copied. Any other view of `right` must be contiguous: oneDNN
    multiplies a slice of columns a hundred times slower.
    """
    if not (_by_onednn(left) and right.dtype == torch.float32):
        return torch.mm(left, right.t(), out=out)
    return _onednn(left, right, None) if out is None else _into(out, left, right)


def _into(out: Tensor, left: Tensor, right: Tensor) -> Tensor:
    """left·rightᵀ in memory that is there: fresh memory takes as long as the product where that is not deep."""
    if products_are_exact():
        with by_onednn():
            return torch.mm(left, right.t(), out=out)
    return out.copy_(_onednn(left, right, None))


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


def weight_gradient(grad: Tensor, x: Tensor, out: Tensor | None = None) -> Tensor:
    """gradᵀ·x: [T, N] and [T, K] -> [N, K]."""
    if not _by_onednn(grad):
        return torch.mm(grad.t(), x, out=out)
    if out is not None:
        return _into(out, grad.t(), x.t())
    if products_are_exact():  # nothing is copied, and sums are half as wrong
        with by_onednn():
            return torch.mm(grad.t(), x)
    if grad.shape[1] <= x.shape[1]:  # the left one is copied, transposed
        return _onednn(grad.t(), x.t(), None)
    return _onednn(x.t(), grad.t(), None).t()


class Linear(nn.Linear):
    """An `nn.Linear` whose products take the faster way; same weights, same name, same numbers to rounding."""

    def forward(self, input: Tensor) -> Tensor:
        return linear(input, self.weight, self.bias)
