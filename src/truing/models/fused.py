"""Norms and gated MLPs of transformers models, computed with fewer passes over memory and less of it kept.

`speed_up(model)` looks for modules that compute exactly what is written here (asked on a few numbers, not by the name
of an architecture) and gives them these forward passes; weights, names and everything that is saved stay as they are.

    RMSNorm      kept for the backward pass: x and one number a row; the usual chain of operations keeps x three times
    gated MLP    down(act(gate)·up): kept are gate and up; act(gate) and the product are made again
    LoRA         `lowrank.py`

Only float32 on a CPU comes here. With autocast, other types or on other devices the original forward pass runs.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from truing.models.lowrank import LoraLinear, is_lora
from truing.models.products import Linear, product, weight_gradient

__all__ = ["gated_down", "rms_norm", "speed_up"]

_ROWS = 256
"""Rows at a time: few enough that what is between two operations stays in the cache."""


def speed_up(model: nn.Module) -> None:
    """Change `model` in place, for as long as it lives: linear layers, with LoRA or
    without, RMS norms and gated MLPs of known form."""
    modules = [module for module in model.modules() if not _is_hooked(module)]
    for module in modules:
        if type(module) is nn.Linear:
            module.__class__ = Linear
    for module in modules:  # a gated MLP is known by its linear layers
        if _is_rms_norm(module):
            _become(module, _Norm)
        elif _is_gated_mlp(module):
            _become(module, _GatedMLP)
        elif is_lora(module):
            _become(module, LoraLinear)


def _is_hooked(module: nn.Module) -> bool:
    """Somebody else has a hand in its forward pass (offloading, quantisation): it is left alone."""
    return bool(module._forward_hooks or module._forward_pre_hooks or "forward" in vars(module))


def _become(module: nn.Module, kind: type[nn.Module]) -> None:
    """Give `module` the forward pass of `kind`, unless it computes something else."""
    original, weight = type(module), next(module.parameters())
    if weight.device.type != "cpu" or weight.dtype != torch.float32:
        return
    width = weight.shape[-1]
    probe = torch.linspace(-1.7, 2.3, 3 * width).sin().view(1, 3, width)
    with torch.no_grad(), torch.autocast("cpu", enabled=False):
        expected = module(probe)
        module.__class__ = _with(original, kind)
        found = module(probe)
    if not torch.allclose(found, expected, rtol=1e-4, atol=1e-5 * float(expected.abs().max())):
        module.__class__ = original


_MADE: dict[tuple[type, type], type[nn.Module]] = {}


def _with(original: type[nn.Module], kind: type[nn.Module]) -> type[nn.Module]:
    """`original` with the forward pass of `kind`, under its own name: what reads names finds what it knows."""
    if (original, kind) not in _MADE:
        names = {"__module__": original.__module__, "__qualname__": original.__qualname__}
        _MADE[original, kind] = type(original.__name__, (kind, original), names)
    return _MADE[original, kind]


def _takes_over(x: Tensor) -> bool:
    return x.device.type == "cpu" and x.dtype == torch.float32 and not torch.is_autocast_enabled("cpu")


def _is_rms_norm(module: nn.Module) -> bool:
    return (
        type(module).__name__.endswith("RMSNorm")
        and not isinstance(module, _Norm)
        and [name for name, _ in module.named_parameters()] == ["weight"]
        and _eps(module) is not None
        and len(inspect.signature(type(module).forward).parameters) == 2
    )


def _eps(module: nn.Module) -> float | None:
    for name in ("variance_epsilon", "eps"):
        if isinstance(value := getattr(module, name, None), float):
            return value
    return None


def _is_gated_mlp(module: nn.Module) -> bool:
    parts = dict(module.named_children())
    return (
        {"gate_proj", "up_proj", "down_proj", "act_fn"} == parts.keys()
        and not isinstance(module, _GatedMLP)
        and type(parts["down_proj"]) is Linear
        and _activation(parts["act_fn"]) is not None
        and len(inspect.signature(type(module).forward).parameters) == 2
    )


class _Norm(nn.Module):
    weight: Tensor

    def forward(self, hidden_states: Tensor) -> Tensor:
        if not _takes_over(hidden_states):
            out: Tensor = super().forward(hidden_states)
            return out
        eps = _eps(self)
        assert eps is not None
        return rms_norm(hidden_states, self.weight, eps)


def rms_norm(x: Tensor, weight: Tensor, eps: float) -> Tensor:
    """weight · x / √(mean(x²) + eps) over the last axis, x [..., H], weight [H] (arXiv:1910.07467, eq. 4)."""
    out: Tensor = _RmsNorm.apply(x, weight, eps)  # type: ignore[no-untyped-call]
    return out


class _RmsNorm(torch.autograd.Function):
    """With n = x·s, s = (mean(x²) + eps)^(-1/2): dx = s·(w·g − n·mean(w·g·n)), dw = Σ g·n."""

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        norms = torch.linalg.vector_norm(x, dim=-1, keepdim=True)
        inverse = norms.square_().div_(x.shape[-1]).add_(eps).rsqrt_()
        ctx.save_for_backward(x, weight, inverse)
        normed: Tensor = (x * inverse).mul_(weight)
        return normed

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, Tensor | None, None]:
        x, weight, inverse = ctx.saved_tensors
        width = x.shape[-1]
        grad_x = torch.empty_like(x, memory_format=torch.contiguous_format)
        grad_weight = torch.zeros_like(weight)
        for x_rows, s, g, into in _by_rows(x, inverse, grad, grad_x):
            n = x_rows * s
            gn = g * n
            grad_weight.add_(gn.sum(0))
            mean = torch.mv(gn, weight).div_(width)
            torch.mul(g, weight, out=into)
            into.sub_(n.mul_(mean[:, None])).mul_(s)
        return grad_x, grad_weight if ctx.needs_input_grad[1] else None, None


def _by_rows(*tensors: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Some rows of each, [..., W] taken as [rows, W]."""
    flat = [each.reshape(-1, each.shape[-1]) for each in tensors]  # a view of whatever is written to: it is contiguous
    for start in range(0, flat[0].shape[0], _ROWS):
        yield tuple(each[start : start + _ROWS] for each in flat)


_Forward = Callable[[Tensor], Tensor]
_Backward = Callable[[Tensor, Tensor, Tensor], None]


def _activation(module: nn.Module) -> tuple[_Forward, _Backward] | None:
    """(act(x), and what writes the gradient of act at x times g into a third), if it is known."""
    name = type(module).__name__
    if name in ("SiLU", "SiLUActivation"):
        return F.silu, lambda g, x, out: torch.ops.aten.silu_backward.grad_input(g, x, grad_input=out)
    approximate = "none" if name == "GELUActivation" else "tanh" if name in ("GELUTanh", "PytorchGELUTanh") else None
    if approximate is None:
        return None
    return (
        lambda x: F.gelu(x, approximate=approximate),
        lambda g, x, out: torch.ops.aten.gelu_backward.grad_input(g, x, approximate=approximate, grad_input=out),
    )


class _GatedMLP(nn.Module):
    gate_proj: nn.Module
    up_proj: nn.Module
    down_proj: Linear
    act_fn: nn.Module

    def forward(self, x: Tensor) -> Tensor:
        if not _takes_over(x) or type(self.down_proj) is not Linear:  # an adapter may have come since
            out: Tensor = super().forward(x)
            return out
        activation = _activation(self.act_fn)
        assert activation is not None
        gate, up = self.gate_proj(x), self.up_proj(x)
        return gated_down(gate, up, self.down_proj.weight, self.down_proj.bias, activation)


def gated_down(
    gate: Tensor, up: Tensor, weight: Tensor, bias: Tensor | None, activation: tuple[_Forward, _Backward]
) -> Tensor:
    """(act(gate)·up)·weightᵀ + bias; gate and up [..., I], weight [H, I], bias [H] -> [..., H]."""
    out: Tensor = _GatedDown.apply(gate, up, weight, bias, activation)  # type: ignore[no-untyped-call]
    return out


class _GatedDown(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, gate: Tensor, up: Tensor, weight: Tensor, bias: Tensor | None, activation: tuple[_Forward, _Backward]
    ) -> Tensor:
        act, _ = activation
        out = gate.new_empty(*gate.shape[:-1], weight.shape[0])
        rows = _by_rows(gate, up, out)
        for gate_rows, up_rows, into in rows:
            into.copy_(product(act(gate_rows).mul_(up_rows), weight))
        if bias is not None:
            out.add_(bias)
        ctx.save_for_backward(gate, up, weight)
        ctx.activation = activation
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        gate, up, weight = ctx.saved_tensors
        act, slope = ctx.activation
        wants_weight, wants_bias = ctx.needs_input_grad[2:4]
        flat = grad.reshape(-1, weight.shape[0])
        grad_gate, grad_up, inputs = (torch.empty_like(gate) for _ in range(3))
        rows = _by_rows(flat, gate, up, grad_gate, grad_up, inputs)
        for g, x, y, into_gate, into_up, into_inputs in rows:
            d, acted = product(g, weight.t()), act(x)
            torch.mul(d, acted, out=into_up)
            torch.mul(acted, y, out=into_inputs)
            slope(d.mul_(y), x, into_gate)
        return (
            grad_gate,
            grad_up,
            weight_gradient(flat, inputs.view(-1, gate.shape[-1])) if wants_weight else None,
            flat.sum(0) if wants_bias else None,
            None,
        )
