"""What adapters add to the weights: its L1 norm by hand, its gradient by automatic differentiation."""

from __future__ import annotations

from types import SimpleNamespace

import pytest
import torch
from torch import Tensor

from truing.models.adapters import with_lora
from truing.models.deltas import Counter, _ProductL1, adapter_l1, layers
from truing.models.policy import Policy
from truing.tree import pack


def product_l1(a: Tensor, b: Tensor, scale: float) -> Tensor:
    found = _ProductL1.apply(a, b, scale)  # type: ignore[no-untyped-call]
    assert isinstance(found, Tensor)
    return found


def test_the_norm_of_a_product_by_hand() -> None:
    a = torch.tensor([[1.0, -2.0]], requires_grad=True)
    b = torch.tensor([[3.0], [0.5]], requires_grad=True)
    # B·A = [[3, -6], [0.5, -1]]: its entries add up to 10.5, and twice that.
    found = product_l1(a, b, 2.0)
    assert found.item() == 21.0
    found.backward()  # type: ignore[no-untyped-call]
    # Σ|b||a|: by a, (|3| + |0.5|)·sign(a); by b, (|1| + |-2|)·sign(b); twice.
    assert a.grad is not None and a.grad.tolist() == [[7.0, -7.0]]  # noqa: PT018
    assert b.grad is not None and b.grad.tolist() == [[6.0], [6.0]]  # noqa: PT018


def test_its_gradient_is_that_of_automatic_differentiation_also_where_the_scale_is_negative() -> None:
    torch.manual_seed(0)
    a, b = (torch.randn(*shape, dtype=torch.float64, requires_grad=True) for shape in ((3, 7), (5, 3)))
    for scale in (0.5, -2.0):
        ours = torch.autograd.grad(3 * product_l1(a, b, scale), (a, b))
        theirs = torch.autograd.grad(3 * (scale * b @ a).abs().sum(), (a, b))
        torch.testing.assert_close(ours, theirs)


def test_fresh_adapters_add_nothing_and_are_not_pushed(toy: SimpleNamespace) -> None:
    model = with_lora(toy.model("llama"), r=2)
    norm = adapter_l1(model)
    assert norm.item() == 0.0
    norm.backward()  # type: ignore[no-untyped-call]
    assert all(p.grad is None or not p.grad.any() for p in model.parameters())


@pytest.mark.parametrize("family", ["llama", "gpt2"])
def test_the_norm_of_a_model_is_how_far_merging_moves_its_weights(toy: SimpleNamespace, family: str) -> None:
    model = with_lora(toy.model(family), r=2, alpha=3.0)
    for parameter in model.parameters():
        if parameter.requires_grad:
            torch.nn.init.normal_(parameter, std=0.1)
    moved = sum(layer.get_delta_weight("default").abs().sum().item() for _, layer in layers(model))
    before = {n.replace(".base_layer", ""): p.clone() for n, p in model.get_base_model().named_parameters()}
    policy = Policy(model)
    streams = policy.streams(pack(toy.trees()), {"adapter_l1"}, {}, autocast=True)
    assert streams.keys() == {"adapter_l1"}, "no forward pass is needed"
    assert streams["adapter_l1"].dtype == torch.float32
    assert streams["adapter_l1"].item() == pytest.approx(moved, rel=1e-5)
    plain = model.merge_and_unload()
    after = sum((p - before[n]).abs().sum().item() for n, p in plain.named_parameters())
    assert after == pytest.approx(moved, rel=1e-4)


def test_shares_of_zero_and_near_zero_are_counted_over_all_matrices() -> None:
    counter = Counter()
    counter.add(torch.tensor([[0.0, 1e-6], [-1e-6, 1.0]]))
    counter.add(torch.tensor([[-3.0, 0.0, 0.0, 0.0]]))
    found = counter.sparsity()
    assert (found.entries, found.zero, found.near_zero) == (8, 0.5, 0.75)
    assert found.mean == pytest.approx(0.5)
    assert Counter().sparsity().mean == 0.0
