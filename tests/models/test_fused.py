"""Fused modules compute what they replace: values and gradients, and only where they do."""

from __future__ import annotations

import copy
import math
from types import SimpleNamespace
from typing import Any

import pytest
import torch
import torch.nn.functional as F
from peft import LoraConfig, get_peft_model
from torch import nn
from torch.nn import SiLU
from transformers import GemmaConfig, LlamaConfig, LlamaForCausalLM
from transformers.activations import GELUTanh
from transformers.models.gemma.modeling_gemma import GemmaMLP, GemmaRMSNorm
from transformers.models.llama.modeling_llama import LlamaAttention, LlamaMLP, LlamaRMSNorm

from truing.models import fused
from truing.models.products import Linear

NEAR: dict[str, Any] = {"rtol": 1e-4, "atol": 1e-5}


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


def test_norms_take_what_does_not_lie_in_one_piece() -> None:
    x, weight = torch.randn(20, 4, 3).transpose(0, 2), torch.randn(40)[::2]
    grad = torch.randn(20, 4, 3).transpose(0, 2)
    inputs = (x.requires_grad_(), weight.requires_grad_())
    found = torch.autograd.grad(fused.rms_norm(*inputs, 1e-6), inputs, grad)
    expected = torch.autograd.grad(F.rms_norm(x, (20,), weight, 1e-6), inputs, grad)
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, **NEAR)


@pytest.mark.parametrize("rows", [0, 1, 255, 257])
@pytest.mark.parametrize("kind", [SiLU, GELUTanh])
def test_a_gated_product_has_the_gradients_of_float64(rows: int, kind: type[nn.Module]) -> None:
    act = kind()
    activation = fused._activation(act)
    assert activation is not None
    given = [torch.randn(size) for size in ((rows, 37), (rows, 37), (11, 37), (11,))]
    leaves = [each.clone().requires_grad_() for each in given]
    # gate and up are given away: copies
    out = fused.gated_down(leaves[0] * 1, leaves[1] * 1, leaves[2], leaves[3], activation)
    gate, up, weight, bias = exact = [each.double().requires_grad_() for each in given]
    expected = F.linear(act(gate) * up, weight, bias)
    torch.testing.assert_close(out.double(), expected, **NEAR)
    grad = torch.randn(rows, 11)
    found = torch.autograd.grad(out, leaves, grad)
    for one, other in zip(found, torch.autograd.grad(expected, exact, grad.double()), strict=True):
        torch.testing.assert_close(one.double(), other, **NEAR)


def test_a_graph_that_is_kept_can_be_gone_through_again() -> None:
    mlp = _faster(LlamaMLP(LlamaConfig(hidden_size=16, num_attention_heads=2, intermediate_size=24)))
    inputs = [torch.randn(1, 5, 16, requires_grad=True), *mlp.parameters()]
    out, grad = mlp(inputs[0]), torch.randn(1, 5, 16)
    first, second, last = (torch.autograd.grad(out, inputs, grad, retain_graph=keep) for keep in (True, True, False))
    for one, two, three in zip(first, second, last, strict=True):
        assert torch.equal(one, two)
        assert torch.equal(one, three)


def test_what_a_hook_took_from_an_mlp_stays_as_it_was() -> None:
    mlp: Any = _faster(LlamaMLP(LlamaConfig(hidden_size=16, num_attention_heads=2, intermediate_size=24)))
    taken: list[torch.Tensor] = []
    mlp.gate_proj.register_forward_hook(lambda module, inputs, out: taken.append(out))
    x = torch.randn(1, 5, 16)
    mlp(x).sum().backward()
    torch.testing.assert_close(taken[0], F.linear(x, mlp.gate_proj.weight), **NEAR)


def test_an_mlp_whose_gate_and_up_have_lora_keeps_its_gradients() -> None:
    config = LlamaConfig(hidden_size=16, num_attention_heads=2, intermediate_size=24, vocab_size=8, num_hidden_layers=1)
    lora = LoraConfig(r=3, target_modules=["gate_proj", "up_proj"], init_lora_weights=False)
    mlp = get_peft_model(LlamaForCausalLM(config), lora).base_model.model.model.layers[0].mlp
    other = _faster(mlp)
    assert type(other) is not type(mlp)
    x, grad = torch.randn(1, 9, 16), torch.randn(1, 9, 16)
    found = []
    for each in (mlp, other):
        trained = [p for p in each.parameters() if p.requires_grad]
        assert len(trained) == 4
        found.append(torch.autograd.grad(each(x), trained, grad))
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b, **NEAR)


@pytest.mark.parametrize(
    ("family", "turned"),
    [
        ("llama_grouped", True),
        ("qwen3", True),
        ("gemma", True),
        ("gpt_neox", True),
        ("phi", True),
        ("cohere", False),
        ("gpt_oss", False),
    ],
)
def test_rotary_embedding_by_halves_is_known_in_any_model(family: str, turned: bool, toy: SimpleNamespace) -> None:
    model = toy.model(family).eval()
    other = _faster(model)
    # gpt_neox and phi turn a part of each head; cohere turns neighbours instead of halves; gpt_oss has half the cosines
    changed = [m for m in other.modules() if isinstance(m, fused._Turning)]
    assert len(changed) == (2 if turned else 0)
    assert {type(m).__name__ for m in changed} <= {type(m).__name__ for m in model.modules()}
    ids = torch.randint(3, toy.vocabulary, (2, 9), generator=torch.Generator().manual_seed(0))
    found = []
    for each in (model, other):
        logits = each(input_ids=ids).logits
        parameters = list(each.parameters())
        logits.square().mean().backward()
        found.append([logits, *(p.grad for p in parameters if p.grad is not None)])
    assert len(found[0]) > 10
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b, rtol=1e-4, atol=1e-5 * float(a.detach().abs().max()))


def test_attention_is_changed_once_and_its_class_keeps_the_original() -> None:
    config = LlamaConfig(hidden_size=16, num_attention_heads=2, intermediate_size=24, vocab_size=8, num_hidden_layers=2)
    model = LlamaForCausalLM(config)
    before = LlamaAttention.forward
    fused.speed_up(model)
    first, second = (layer.self_attn for layer in model.model.layers)
    assert type(first) is type(second)
    assert isinstance(first, LlamaAttention)
    assert LlamaAttention.forward is before
    kind = type(first)
    fused.speed_up(model)
    assert type(first) is kind


def test_rotary_embedding_in_other_types_is_the_original() -> None:
    config = LlamaConfig(hidden_size=16, num_attention_heads=2, intermediate_size=24, vocab_size=8, num_hidden_layers=2)
    model = LlamaForCausalLM(config).eval()
    other = _faster(model)
    ids = torch.tensor([[1, 5, 2, 7]])
    assert torch.equal(other.double()(ids).logits, model.double()(ids).logits)
    assert torch.equal(other.bfloat16()(ids).logits, model.bfloat16()(ids).logits)


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
