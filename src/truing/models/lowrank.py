"""A linear layer with LoRA in three products and no pass more: x·Wᵀ + b + s·(x·Aᵀ)·Bᵀ (arXiv:2106.09685, eq. 3).

peft adds the two thin products to the large one as three further passes over a tensor of the layer's size, and as many
in the backward pass. Here the second thin product is added in place by the product itself.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from truing.models.products import Linear, linear, product, weight_gradient

__all__ = ["LoraLinear", "is_lora", "lora_linear"]


def is_lora(module: nn.Module) -> bool:
    """Whether this is peft's LoRA around a linear layer, not yet changed."""
    kind = type(module)
    return (
        kind.__module__.startswith("peft.tuners.lora")
        and kind.__name__ == "Linear"
        and isinstance(module.base_layer, nn.Linear)  # GPT-2's layers are transposed
        and not isinstance(module, LoraLinear)
    )


def lora_linear(x: Tensor, weight: Tensor, bias: Tensor | None, a: Tensor, b: Tensor, scaling: float) -> Tensor:
    """x [..., K], weight [N, K], bias [N], a [r, K], b [N, r] -> [..., N]. Differentiable once."""
    out: Tensor = _LoraLinear.apply(x, weight, bias, a, b, scaling)  # type: ignore[no-untyped-call]
    return out


class _LoraLinear(torch.autograd.Function):
    """With g the gradient of the output and h = s·g·B: dx = g·W + h·A, dA = hᵀ·x, dB = s·gᵀ·(x·Aᵀ)."""

    @staticmethod
    def forward(
        ctx: Any, x: Tensor, weight: Tensor, bias: Tensor | None, a: Tensor, b: Tensor, scaling: float
    ) -> Tensor:
        rows = x.flatten(0, -2)
        low = product(rows, a)
        out = linear(rows, weight, bias).addmm_(low, b.t(), alpha=scaling)
        ctx.save_for_backward(x, weight, a, b, low)
        ctx.scaling = scaling
        return out.view(*x.shape[:-1], -1)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        x, weight, a, b, low = ctx.saved_tensors
        wants_x, wants_weight, wants_bias, wants_a, wants_b, _ = ctx.needs_input_grad
        rows, inputs = grad.flatten(0, -2), x.flatten(0, -2)
        low_grad = product(rows, b.t()).mul_(ctx.scaling)
        return (
            product(rows, weight.t()).addmm_(low_grad, a).view_as(x) if wants_x else None,
            weight_gradient(rows, inputs) if wants_weight else None,
            rows.sum(0) if wants_bias else None,
            weight_gradient(low_grad, inputs) if wants_a else None,
            weight_gradient(rows, low) * ctx.scaling if wants_b else None,
            None,
        )


class LoraLinear(nn.Module):
    """What peft's layer becomes (`fused.speed_up`); everything but one plain adapter without dropout goes its way."""

    base_layer: nn.Module
    lora_A: nn.ModuleDict
    lora_B: nn.ModuleDict
    lora_dropout: nn.ModuleDict
    lora_variant: dict[str, Any]
    scaling: dict[str, float]
    active_adapters: list[str]
    disable_adapters: bool
    merged: bool

    def forward(self, x: Tensor, *args: Any, **kwargs: Any) -> Tensor:
        names = [name for name in self.active_adapters if name in self.lora_A]
        if args or kwargs or len(names) != 1 or not self._is_plain(names[0], x):
            out: Tensor = super().forward(x, *args, **kwargs)
            return out
        a, b, base = self.lora_A[names[0]], self.lora_B[names[0]], self.base_layer
        assert isinstance(a, Linear)
        assert isinstance(b, Linear)
        assert isinstance(base, Linear)
        return lora_linear(x, base.weight, base.bias, a.weight, b.weight, float(self.scaling[names[0]]))

    def _is_plain(self, name: str, x: Tensor) -> bool:
        dropout = self.lora_dropout[name]
        layers = (self.base_layer, self.lora_A[name], self.lora_B[name])
        return (
            not self.disable_adapters
            and not self.merged
            and name not in self.lora_variant
            and (isinstance(dropout, nn.Identity) or getattr(dropout, "p", None) == 0.0 or not self.training)
            and all(type(layer) is Linear and layer.weight.dtype == x.dtype for layer in layers)
            and self.lora_B[name].bias is None
            and x.device.type == "cpu"
            and x.dtype == torch.float32
            and not torch.is_autocast_enabled("cpu")
        )
