"""Norms, gated MLPs and rotary embeddings of transformers models, in fewer passes over memory and less of it kept.

`speed_up(model)` looks for modules that compute exactly what is written here (asked on a few numbers, not by the name
of an architecture) and gives them these forward passes; weights, names and everything that is saved stay as they are.

    RMSNorm      kept for the backward pass: x and one number a row; the usual chain of operations keeps x three times
    gated MLP    down(act(gate)·up): kept are gate and up; the backward pass puts the gradients in their place
    rotary       one pass for queries and one for keys, instead of ten
    LoRA         `lowrank.py`

Only float32 on a CPU comes here. With autocast, other types or on other devices the original forward pass runs.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import update_wrapper
from types import FunctionType
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.autograd.function import once_differentiable

from truing.models.kernels import gated, norms
from truing.models.kernels.compiler import fits
from truing.models.kernels.rotary import rotate
from truing.models.lowrank import LoraLinear, is_lora
from truing.models.products import Linear, product, weight_gradient

__all__ = ["Activation", "gated_down", "rms_norm", "rotary", "speed_up"]

_ROWS = 256
"""Rows at a time: few enough that what is between two operations stays in the cache."""


def speed_up(model: nn.Module) -> None:
    """Change `model` in place, for as long as it lives: linear layers, with LoRA or without, RMS norms, gated MLPs and
    rotary embeddings of known form."""
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
        elif _rotates(module):
            module.__class__ = _turning(type(module))


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


def _takes_over(*tensors: Tensor) -> bool:
    return fits(*tensors) and not torch.is_autocast_enabled("cpu")


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
        if not _takes_over(hidden_states, self.weight):
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
    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, eps: float) -> Tensor:
        x, weight = x.contiguous(), weight.contiguous()
        out, inverse = norms.rms_norm(x, weight, eps)
        ctx.save_for_backward(x, weight, inverse)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, Tensor, None]:
        x, weight, inverse = ctx.saved_tensors
        return *norms.rms_norm_gradients(x, weight, inverse, grad.contiguous()), None


_ROTARY = "apply_rotary_pos_emb"
"""What attention modules call, a name of their file: (q, k, cos, sin, unsqueeze_dim=1) -> q and k, turned."""


def _rotates(module: nn.Module) -> bool:
    """Whether its forward pass calls a function `_ROTARY` that computes what `rotary` does."""
    forward = type(module).forward
    theirs = getattr(forward, "__globals__", {}).get(_ROTARY)
    return (
        theirs is not None
        and not isinstance(module, _Turning)
        and _ROTARY in forward.__code__.co_names
        and all(fits(weight) for weight in module.parameters())
        and _turns_by_halves(theirs)
    )


class _Turning(nn.Module):
    """Marks what `_turning` made."""


def _turning(original: type[nn.Module]) -> type[nn.Module]:
    """The attention `original`, its forward pass the same code, which finds another function under that name."""
    if (original, _Turning) not in _MADE:
        forward = original.forward
        its_globals = {**forward.__globals__, _ROTARY: _turned(forward.__globals__[_ROTARY])}
        made = FunctionType(forward.__code__, its_globals, forward.__name__, forward.__defaults__, forward.__closure__)
        update_wrapper(made, forward)
        made.__kwdefaults__ = forward.__kwdefaults__
        kind = _with(original, _Turning)
        kind.forward = made
    return _MADE[original, _Turning]


def _turned(theirs: Callable[..., tuple[Tensor, Tensor]]) -> Callable[..., tuple[Tensor, Tensor]]:
    def turned(q: Tensor, k: Tensor, cos: Tensor, sin: Tensor, unsqueeze_dim: int = 1) -> tuple[Tensor, Tensor]:
        known = unsqueeze_dim == 1 and q.dim() == 4 and cos.shape[-1] == q.shape[-1] == k.shape[-1]
        if not known or cos.requires_grad or sin.requires_grad or not _takes_over(q, k, cos, sin):
            return theirs(q, k, cos, sin, unsqueeze_dim=unsqueeze_dim)
        return rotary(q, cos, sin), rotary(k, cos, sin)

    return turned


def _turns_by_halves(theirs: Any) -> bool:
    """Whether this function computes what `rotary` does."""
    if list(inspect.signature(theirs).parameters) != ["q", "k", "cos", "sin", "unsqueeze_dim"]:
        return False
    probe = torch.linspace(-1.7, 2.3, 3 * 2 * 5 * 8).view(3, 1, 2, 5, 8).sin()
    q, k = probe[0], probe[1, :, :1]
    cos, sin = probe[2].unbind(1)  # no cosine and sine of one angle: no symmetry hides a difference
    with torch.no_grad(), torch.autocast("cpu", enabled=False):
        try:
            found = theirs(q, k, cos, sin)
        except (RuntimeError, IndexError, TypeError, ValueError):  # other shapes: cosines of half the width, for one
            return False
        return len(found) == 2 and all(
            each.shape == x.shape and torch.allclose(each, rotary(x, cos, sin))
            for each, x in zip(found, (q, k), strict=True)
        )


def rotary(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """x·cos + (−x₂, x₁)·sin, x₁ and x₂ the halves of x's last axis; x [B, heads, T, d], cos and sin [B, T, d].

    No gradient comes to cos and sin.
    """
    out: Tensor = _Rotary.apply(x, cos, sin)  # type: ignore[no-untyped-call]
    return out


class _Rotary(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
        ctx.save_for_backward(cos, sin)
        return rotate(x, cos, sin)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor, None, None]:
        cos, sin = ctx.saved_tensors
        return rotate(grad, cos, sin, back=True), None, None


def _by_rows(*tensors: Tensor) -> Iterator[tuple[Tensor, ...]]:
    """Some rows of each, [..., W] taken as [rows, W]."""
    flat = [each.reshape(-1, each.shape[-1]) for each in tensors]  # a view of whatever is written to: it is contiguous
    for start in range(0, flat[0].shape[0], _ROWS):
        yield tuple(each[start : start + _ROWS] for each in flat)


@dataclass(frozen=True, slots=True)
class Activation:
    """An activation function act, as gated MLPs use it: contiguous tensors of one size, which share no memory."""

    times: Callable[[Tensor, Tensor, Tensor], None]
    """(gate, up, out): out = act(gate)·up."""
    gradients: Callable[[Tensor, Tensor, Tensor], None]
    """(g, gate, up): from the gradient of p = act(gate)·up, p in its place and theirs in that of gate and up."""


def _activation(module: nn.Module) -> Activation | None:
    """What `module` computes, if it is known."""
    name = type(module).__name__
    if name in ("SiLU", "SiLUActivation"):
        return Activation(gated.silu_times, gated.silu_gradients)
    approximate = "none" if name == "GELUActivation" else "tanh" if name in ("GELUTanh", "PytorchGELUTanh") else None
    return None if approximate is None else _gelu(approximate)


def _gelu(approximate: str) -> Activation:
    def times(gate: Tensor, up: Tensor, out: Tensor) -> None:
        torch.mul(F.gelu(gate, approximate=approximate), up, out=out)

    def gradients(grad: Tensor, gate: Tensor, up: Tensor) -> None:
        for g, x, y in _by_rows(grad, gate, up):
            acted, by_acted = F.gelu(x, approximate=approximate), g * y
            by_up = acted * g
            torch.mul(acted, y, out=g)
            y.copy_(by_up)
            torch.ops.aten.gelu_backward.grad_input(by_acted, x, approximate=approximate, grad_input=x)

    return Activation(times, gradients)


class _GatedMLP(nn.Module):
    gate_proj: nn.Module
    up_proj: nn.Module
    down_proj: Linear
    act_fn: nn.Module

    def forward(self, x: Tensor) -> Tensor:
        # an adapter or a hook may have come since
        if not _takes_over(x) or type(self.down_proj) is not Linear or not _is_ours(self.gate_proj, self.up_proj):
            out: Tensor = super().forward(x)
            return out
        activation = _activation(self.act_fn)
        assert activation is not None
        gate, up = self.gate_proj(x), self.up_proj(x)
        return gated_down(gate, up, self.down_proj.weight, self.down_proj.bias, activation)


def _is_ours(*modules: nn.Module) -> bool:
    """Whether nobody else gets what these return, nor keeps it."""
    return all(isinstance(module, (Linear, LoraLinear)) and not _is_hooked(module) for module in modules)


def gated_down(gate: Tensor, up: Tensor, weight: Tensor, bias: Tensor | None, activation: Activation) -> Tensor:
    """(act(gate)·up)·weightᵀ + bias; gate and up [..., I], weight [H, I], bias [H] -> [..., H].

    gate and up must be nobody else's: the last backward pass puts their gradients where they were, for memory that is
    new to the process takes longer to get than the gradients to compute.
    """
    out: Tensor = _GatedDown.apply(gate, up, weight, bias, activation)  # type: ignore[no-untyped-call]
    return out


class _GatedDown(torch.autograd.Function):
    @staticmethod
    def forward(
        ctx: Any, gate: Tensor, up: Tensor, weight: Tensor, bias: Tensor | None, activation: Activation
    ) -> Tensor:
        gate, up = gate.contiguous(), up.contiguous()
        out = gate.new_empty(*gate.shape[:-1], weight.shape[0])
        room = gate.new_empty(min(_ROWS, out.numel() // out.shape[-1]), gate.shape[-1])
        for gate_rows, up_rows, into in _by_rows(gate, up, out):
            inputs = room[: gate_rows.shape[0]]
            activation.times(gate_rows, up_rows, inputs)
            into.copy_(product(inputs, weight))
        if bias is not None:
            out.add_(bias)
        ctx.save_for_backward(gate, up, weight)
        ctx.activation = activation
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        gate, up, weight = ctx.saved_tensors
        wants_weight, wants_bias = ctx.needs_input_grad[2:4]
        shape = gate.shape
        gate, up = (each.detach().view(-1, shape[-1]) for each in (gate, up))
        if torch._C._autograd._get_current_graph_task_keep_graph():  # another backward pass is to come
            gate, up = gate.clone(), up.clone()
        flat = grad.reshape(-1, weight.shape[0])
        inputs = product(flat, weight.t())
        ctx.activation.gradients(inputs, gate, up)
        return (
            gate.view(shape),
            up.view(shape),
            weight_gradient(flat, inputs) if wants_weight else None,
            flat.sum(0) if wants_bias else None,
            None,
        )
