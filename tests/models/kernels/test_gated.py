"""silu(gate)·up and its gradients, against float64."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from truing.models.kernels.gated import silu_gradients, silu_times

SHAPES = [(0, 7), (1, 1), (3, 5), (2, 3, 17), (300, 48), (70, 1024)]
# rounding to float32, of numbers of about 1
NEAR: dict[str, Any] = {"rtol": 1e-6, "atol": 1e-6}


def test_numbers_worked_by_hand() -> None:
    # σ(ln 3) = 3/4
    gate, up, out = torch.tensor([math.log(3), 0.0]), torch.tensor([2.0, 5.0]), torch.empty(2)
    silu_times(gate, up, out)
    assert out.tolist() == pytest.approx([1.5 * math.log(3), 0.0])
    grad = torch.tensor([1.0, 4.0])
    silu_gradients(grad, gate, up)
    assert grad.tolist() == pytest.approx([1.5 * math.log(3), 0.0])  # the product
    assert up.tolist() == pytest.approx([0.75 * math.log(3), 0.0])  # g·silu(gate)
    # slopes: 3/4·(1 + ln 3/4) and 1/2
    assert gate.tolist() == pytest.approx([2 * 0.75 * (1 + math.log(3) / 4), 4 * 5 * 0.5])


@pytest.mark.parametrize("shape", SHAPES)
def test_values_and_gradients_are_those_of_float64(shape: tuple[int, ...]) -> None:
    gate, up, grad = (torch.randn(shape) * many for many in (4, 1, 1))
    x, y = gate.double().requires_grad_(), up.double().requires_grad_()
    exact = F.silu(x) * y
    by_gate, by_up = torch.autograd.grad(exact, (x, y), grad.double())
    out = torch.empty(shape)
    silu_times(gate, up, out)
    silu_gradients(grad, gate, up)
    for found, expected in ((out, exact), (grad, exact), (gate, by_gate), (up, by_up)):
        torch.testing.assert_close(found.double(), expected.detach(), **NEAR)


def test_far_from_0_it_is_x_or_nothing() -> None:
    gate, up, out = torch.tensor([1000.0, -1000.0]), torch.ones(2), torch.empty(2)
    silu_times(gate, up, out)
    assert out[0] == 1000.0
    assert out[1].abs() < 1e-30
    grad = torch.ones(2)
    silu_gradients(grad, gate, up)
    assert gate[0] == 1.0
    assert gate[1].abs() < 1e-30


def test_what_is_no_number_stays_none_where_it_is() -> None:
    gate, up, grad, out = (torch.ones(40) for _ in range(4))
    gate[3], up[20] = math.nan, math.inf
    silu_times(gate, up, out)
    assert out.isnan().nonzero().flatten().tolist() == [3]
    assert out.isinf().nonzero().flatten().tolist() == [20]
    silu_gradients(grad, gate, up)
    for found in (grad, gate):
        assert (~found.isfinite()).nonzero().flatten().tolist() == [3, 20]
    assert (~up.isfinite()).nonzero().flatten().tolist() == [3]


def test_two_threads_compute_the_same_bits() -> None:
    gate, up, grad = torch.randn(3, 300, 1001)
    one: list[torch.Tensor] = []
    two: list[torch.Tensor] = []
    before = torch.get_num_threads()
    try:
        for threads, found in ((1, one), (2, two)):
            torch.set_num_threads(threads)
            given = [each.clone() for each in (grad, gate, up)]
            found.append(torch.empty_like(gate))
            silu_times(gate, up, found[0])
            silu_gradients(*given)
            found += given
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(a, b) for a, b in zip(one, two, strict=True))
