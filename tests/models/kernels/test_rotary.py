"""Rotary embedding and its gradient, against transformers' in float64."""

from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor
from transformers.models.llama.modeling_llama import apply_rotary_pos_emb

from truing.models.kernels.rotary import rotate


def test_a_quarter_turn_worked_by_hand() -> None:
    x = torch.tensor([1.0, 2.0, 3.0, 4.0]).view(1, 1, 1, 4)
    cos, sin = torch.zeros(1, 1, 4), torch.ones(1, 1, 4)
    assert rotate(x, cos, sin).flatten().tolist() == [-3.0, -4.0, 1.0, 2.0]
    assert rotate(x, cos, sin, back=True).flatten().tolist() == [3.0, 4.0, -1.0, -2.0]


def test_turning_back_undoes_a_turn() -> None:
    angles = torch.rand(1, 5, 8).repeat(1, 1, 2) * math.tau
    x = torch.randn(1, 3, 5, 16)
    torch.testing.assert_close(rotate(rotate(x, angles.cos(), angles.sin()), angles.cos(), angles.sin(), back=True), x)


@pytest.mark.parametrize(
    ("batch", "heads", "size", "width"), [(1, 4, 300, 64), (2, 3, 7, 6), (3, 1, 1, 2), (1, 2, 0, 8)]
)
@pytest.mark.parametrize("one_row", [True, False])
@pytest.mark.parametrize("by_head", [True, False])
def test_values_and_gradients_are_those_of_float64(
    batch: int, heads: int, size: int, width: int, one_row: bool, by_head: bool
) -> None:
    x, grad = (_heads(batch, heads, size, width, by_head) for _ in range(2))
    cos, sin = torch.randn(2, 1 if one_row else batch, size, width)
    y = x.double().requires_grad_()
    exact = apply_rotary_pos_emb(y, y, cos.double(), sin.double())[0]
    out = rotate(x, cos, sin)
    torch.testing.assert_close(out.double(), exact.detach(), rtol=1e-6, atol=1e-6)
    assert out.transpose(1, 2).is_contiguous()
    (expected,) = torch.autograd.grad(exact, y, grad.double())
    torch.testing.assert_close(rotate(grad, cos, sin, back=True).double(), expected, rtol=1e-6, atol=1e-6)


def test_two_threads_compute_the_same_bits() -> None:
    x, cos, sin = torch.randn(1, 4, 1001, 64), *torch.randn(2, 1, 1001, 64)
    before = torch.get_num_threads()
    found = []
    try:
        for threads in (1, 2):
            torch.set_num_threads(threads)
            found.append((rotate(x, cos, sin), rotate(x, cos, sin, back=True)))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(a, b) for a, b in zip(*found, strict=True))


def _heads(batch: int, heads: int, size: int, width: int, by_head: bool) -> Tensor:
    """As a projection leaves them, or head by head."""
    if by_head:
        return torch.randn(batch, heads, size, width)
    return torch.randn(batch, size, heads, width).transpose(1, 2)
