"""A LoRA layer computes what peft's does: values, gradients, and every case that it hands back."""

from __future__ import annotations

import copy
from typing import Any

import peft
import pytest
import torch
from torch import nn

from truing.models.fused import speed_up
from truing.models.lowrank import LoraLinear, lora_linear

NEAR = {"rtol": 1e-4, "atol": 1e-5}


def test_the_sum_of_both_ways_worked_by_hand() -> None:
    x, weight = torch.tensor([[1.0, 2.0]]), torch.tensor([[3.0, 4.0]])
    a, b = torch.tensor([[1.0, -1.0]]), torch.tensor([[10.0]])
    # 3 + 8 + ½·10·(1 − 2) = 6
    assert lora_linear(x, weight, None, a, b, 0.5).tolist() == [[6.0]]


def test_gradients_are_those_of_the_plain_formula() -> None:
    x, weight, bias = torch.randn(2, 7, 5), torch.randn(6, 5), torch.randn(6)
    a, b = torch.randn(3, 5), torch.randn(6, 3)
    inputs = [each.requires_grad_() for each in (x, weight, bias, a, b)]
    grad = torch.randn(2, 7, 6)
    found = torch.autograd.grad(lora_linear(*inputs, 0.7), inputs, grad)  # type: ignore[arg-type]
    exact = [each.detach().double().requires_grad_() for each in inputs]
    plain = nn.functional.linear(exact[0], exact[1], exact[2]) + 0.7 * (exact[0] @ exact[3].t() @ exact[4].t())
    for one, other in zip(found, torch.autograd.grad(plain, exact, grad.double()), strict=True):
        torch.testing.assert_close(one.double(), other, **NEAR)


class Layers(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.first, self.second = nn.Linear(6, 8), nn.Linear(8, 4)

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        out: torch.Tensor = self.second(self.first(x).sin())
        return out


def adapted(**more: Any) -> tuple[Any, Any]:
    """A model of peft's with an adapter that does something, and the same changed."""
    config = peft.LoraConfig(r=2, lora_alpha=6, target_modules=["first", "second"], **more)
    model = peft.get_peft_model(Layers(), config)
    for name, parameter in model.named_parameters():
        if "lora" in name:
            nn.init.normal_(parameter, std=0.3)
    faster = copy.deepcopy(model)
    speed_up(faster)
    return model, faster


def agree(one: Any, other: Any) -> None:
    x, grad = torch.randn(3, 5, 6), torch.randn(3, 5, 4)
    found = []
    for model in (one, other):
        trained = [p for p in model.parameters() if p.requires_grad]
        out = model(x)
        found.append([out, *(torch.autograd.grad(out, trained, grad) if out.requires_grad else ())])
    for a, b in zip(*found, strict=True):
        torch.testing.assert_close(a, b, **NEAR)


def test_a_model_of_pefts_keeps_values_gradients_and_names() -> None:
    model, faster = adapted()
    assert isinstance(faster.base_model.model.first, LoraLinear)
    assert isinstance(faster.base_model.model.first, peft.tuners.lora.Linear)
    assert list(model.state_dict()) == list(faster.state_dict())
    agree(model, faster)


def test_an_adapter_that_is_switched_off_is_off() -> None:
    model, faster = adapted()
    with model.disable_adapter(), faster.disable_adapter():
        agree(model, faster)


def test_a_merged_adapter_is_not_added_twice() -> None:
    model, faster = adapted()
    faster.merge_adapter()
    x = torch.randn(2, 6)
    torch.testing.assert_close(model(x), faster(x), **NEAR)


@pytest.mark.parametrize("more", [{"use_dora": True}, {"lora_bias": True}, {"use_rslora": True}])
def test_other_kinds_of_lora_are_what_they_were(more: dict[str, bool]) -> None:
    agree(*adapted(**more))


def test_two_adapters_at_once_are_both_added() -> None:
    model, _ = adapted()
    model.add_adapter("other", peft.LoraConfig(r=3, target_modules=["first"]))
    nn.init.normal_(model.base_model.model.first.lora_B["other"].weight, std=0.3)
    model.base_model.set_adapter(["default", "other"])
    faster = copy.deepcopy(model)
    speed_up(faster)
    agree(model, faster)
