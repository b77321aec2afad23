"""Fused modules compute what they replace: values and gradients, and only where they do."""

from __future__ import annotations

import copy
import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from transformers import GemmaConfig, LlamaConfig
from transformers.models.gemma.modeling_gemma import GemmaMLP, GemmaRMSNorm
from transformers.models.llama.modeling_llama import LlamaMLP, LlamaRMSNorm

from truing.models import fused
from truing.models.products import Linear

NEAR = {"rtol": 1e-4, "atol": 1e-5}


def test_a_norm_worked_by_hand() -> None:
    x, weight = torch.tensor([[3.0, 4.0]], requires_grad=True), torch.tensor([1.0, 2.0], requires_grad=True)
    out = fused.rms_norm(x, weight, 0.0)
    root = math.sqrt(12.5)
    torch.testing.assert_close(out, torch.tensor([[3 / root, 8 / root]]))
    out[0, 0].backward()
    # d(x₀/√m)/dx₀ = (1 − x₀²/(2m))/√m and d/dx₁ = −x₀x₁/(2m)/√m, m = 12.5
    assert x.grad is not None
    torch.testing.assert_close(x.grad, torch.tensor([[(1 - 9 / 25) / root, -12 / 25 / root]]))
    torch.testing.assert_close(weight.grad, torch.tensor([3 / root, 0.0]))


@pytest.mark.parametrize("rows", [1, 255, 256, 600])
def test_a_norm_has_the_gradients_of_float64(rows: int) -> None:
    x, weight = torch.randn(rows, 48, requires_grad=True), torch.randn(48, requires_grad=True)
    grad = torch.randn(rows, 48)
    found = torch.autograd.grad(fused.rms_norm(x, weight, 1e-6), (x, weight), grad)
    y, w = x.detach().double().requires_grad_(), weight.detach().double().requires_grad_()
    exact = torch.autograd.grad(F.rms_norm(y, (48,), w, 1e-6), (y, w), grad.double())
    for one, other in zip(found, exact, strict=True):
        torch.testing.assert_close(one.double(), other, **NEAR)


@pytest.mark.parametrize("activation", ["silu", "gelu", "gelu_pytorch_tanh"])
@pytest.mark.parametrize("bias", [True, False])
def test_a_gated_mlp_keeps_its_values_and_gradients(activation: str, bias: bool) -> None:
    config = LlamaConfig(
        hidden_size=24, num_attention_heads=2, intermediate_size=40, hidden_act=activation, mlp_bias=bias
    )
    mlp = LlamaMLP(config)
    other = _faster(mlp)
    assert type(other) is not type(mlp)
    _agree(mlp, other, torch.randn(2, 300, 24))


def test_a_norm_of_a_model_is_replaced_and_agrees() -> None:
    norm = LlamaRMSNorm(32)
    nn.init.normal_(norm.weight)
    other = _faster(norm)
    assert type(other) is not type(norm)
    assert type(other).__name__ == "LlamaRMSNorm"
    assert isinstance(other, LlamaRMSNorm)
    _agree(norm, other, torch.randn(2, 300, 32))


def test_a_norm_that_computes_something_else_is_left_alone() -> None:
    norm = GemmaRMSNorm(32)  # (1 + weight)·n
    assert type(_faster(norm)) is GemmaRMSNorm


def test_gemmas_mlp_is_a_gated_mlp_too() -> None:
    mlp = GemmaMLP(
        GemmaConfig(hidden_size=16, num_attention_heads=2, intermediate_size=24, hidden_activation="gelu_pytorch_tanh")
    )
    _agree(mlp, _faster(mlp), torch.randn(1, 5, 16))


def test_an_mlp_whose_layer_is_adapted_later_runs_with_its_adapter() -> None:
    mlp: Any = _faster(LlamaMLP(LlamaConfig(hidden_size=16, num_attention_heads=2, intermediate_size=24)))

    class Twice(nn.Module):
        def __init__(self, layer: nn.Module) -> None:
            super().__init__()
            self.layer = layer

        def forward(self, x: torch.Tensor) -> torch.Tensor:
            out: torch.Tensor = 2 * self.layer(x)
            return out

    x = torch.randn(1, 3, 16)
    before = mlp(x)
    mlp.down_proj = Twice(mlp.down_proj)
    torch.testing.assert_close(mlp(x), 2 * before)


def test_hooked_layers_are_left_alone() -> None:
    layer = nn.Linear(4, 4)
    layer.register_forward_hook(lambda *_: None)
    fused.speed_up(layer)
    assert type(layer) is nn.Linear


def test_all_linear_layers_are_replaced_once() -> None:
    mlp = LlamaMLP(LlamaConfig(hidden_size=4, num_attention_heads=2, intermediate_size=4))
    model = nn.Sequential(nn.Linear(4, 4), nn.Sequential(LlamaRMSNorm(4), mlp))
    fused.speed_up(model)
    kinds = [type(m) for m in model.modules()]
    fused.speed_up(model)
    assert [type(m) for m in model.modules()] == kinds
    assert [type(m) for m in model.modules() if isinstance(m, nn.Linear)] == [Linear] * 4


def test_in_float64_and_under_autocast_the_original_forward_pass_runs() -> None:
    norm = LlamaRMSNorm(8)
    other = _faster(norm)
    x = torch.randn(2, 8, dtype=torch.float64)
    assert torch.equal(other.double()(x), norm.double()(x))
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert torch.equal(other.float()(x.float()), norm.float()(x.float()))


def _faster(module: nn.Module) -> nn.Module:
    copied = copy.deepcopy(module)
    fused.speed_up(copied)
    return copied


def _agree(one: nn.Module, other: nn.Module, x: torch.Tensor) -> None:
    grad = torch.randn_like(x)
    found = []
    for module in (one, other):
        inputs = [x.detach().clone().requires_grad_(), *module.parameters()]
        out = module(inputs[0])
        found.append([out, *torch.autograd.grad(out, inputs, grad)])
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b, **NEAR)
