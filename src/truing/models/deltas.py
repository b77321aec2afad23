"""What LoRA adapters add to the weights: Δ = scale · B·A, matrix by matrix, and how sparse it is."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import torch
from peft.tuners.lora import LoraLayer
from torch import Tensor, nn

__all__ = ["NEAR_ZERO", "Counter", "Sparsity", "adapter_l1", "layers"]

NEAR_ZERO = 1e-5
"""Entries of a Δ below this count as near zero. Ours: the sum of thousands of them does not move an activation."""


def layers(model: nn.Module, adapter: str = "default") -> Iterator[tuple[str, Any]]:
    """Every layer of peft's that has this adapter, with its name."""
    for name, module in model.named_modules():
        if isinstance(module, LoraLayer) and (adapter in module.lora_A or adapter in module.lora_embedding_A):
            yield name, module


def adapter_l1(model: nn.Module, adapter: str = "default") -> Tensor:
    """Σ |Δ| over every entry of every adapted matrix, with its gradient to A and B.

    One Δ is in memory at a time, in the backward pass too. Always in the adapters' own type: under autocast the sign
    of a small Δ would be lost.
    """
    total: Tensor | None = None
    for _, layer in layers(model, adapter):
        a, b = _factors(layer, adapter)
        with torch.autocast(a.device.type, enabled=False):
            part: Tensor = _ProductL1.apply(a, b, float(layer.scaling[adapter]))  # type: ignore[no-untyped-call]
        total = part if total is None else total + part.to(total.device)
    assert total is not None, "a recipe that reads adapter_l1 is wired with adapters"
    return total


def _factors(layer: Any, adapter: str) -> tuple[Tensor, Tensor]:
    """A `[r, in]` and B `[out, r]`."""
    if adapter in layer.lora_A:
        return layer.lora_A[adapter].weight, layer.lora_B[adapter].weight
    return layer.lora_embedding_A[adapter], layer.lora_embedding_B[adapter]


class _ProductL1(torch.autograd.Function):
    """Σ |s·B·A|. The gradients, |s|·Bᵀ·sign(B·A) and |s|·sign(B·A)·Aᵀ, are made in the forward pass: they have the
    size of A and B, and what plain autograd would keep until the backward pass has the size of the model."""

    @staticmethod
    def forward(ctx: Any, a: Tensor, b: Tensor, scale: float) -> Tensor:
        product = b @ a
        sign = product.sign()
        ctx.save_for_backward(abs(scale) * (b.T @ sign), abs(scale) * (sign @ a.T))
        return abs(scale) * product.abs().sum()

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> tuple[Tensor, Tensor, None]:
        to_a, to_b = ctx.saved_tensors
        return gradient * to_a, gradient * to_b, None


@dataclass(frozen=True, slots=True)
class Sparsity:
    """How sparse a change of weights is: shares of its entries, and the mean of |Δ|."""

    entries: int
    zero: float
    """Share of entries that are exactly 0."""
    near_zero: float
    """Share of entries with |Δ| < `NEAR_ZERO`, those of 0 included."""
    mean: float
    """Mean of |Δ|."""


class Counter:
    """Counts the sparsity of one matrix after another and keeps none of them."""

    def __init__(self) -> None:
        self.entries, self.zero, self.near, self.total = 0, 0, 0, 0.0

    def add(self, delta: Tensor) -> None:
        sizes = delta.abs()
        self.entries += sizes.numel()
        self.zero += int((sizes == 0).sum())
        self.near += int((sizes < NEAR_ZERO).sum())
        self.total += float(sizes.sum())

    def sparsity(self) -> Sparsity:
        """Over all entries of all matrices."""
        whole = max(1, self.entries)
        return Sparsity(self.entries, self.zero / whole, self.near / whole, self.total / whole)
