"""RMSNorm and its gradients, against float64."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch
import torch.nn.functional as F

from truing.models.kernels.norms import rms_norm, rms_norm_gradients

# one row, whole blocks of rows and not, widths that are no multiple of a vector, more axes
SHAPES = [(0, 8), (5,), (1, 1), (3, 7), (64, 16), (65, 33), (2, 3, 5, 24), (600, 256), (130, 768)]
NEAR: dict[str, Any] = {"rtol": 2e-5, "atol": 2e-5}


def test_numbers_worked_by_hand() -> None:
    x, weight = torch.tensor([[3.0, 4.0], [0.0, 1.0]]), torch.tensor([1.0, 2.0])
    out, inverse = rms_norm(x, weight, 0.0)
    one, other = math.sqrt(2 / 25), math.sqrt(2)
    assert inverse.tolist() == pytest.approx([one, other])
    assert out.flatten().tolist() == pytest.approx([3 * one, 8 * one, 0.0, 2 * other])
    by_x, by_weight = rms_norm_gradients(x, weight, inverse, torch.ones(2, 2))
    # Σ over rows of x·s
    assert by_weight.tolist() == pytest.approx([3 * one, 4 * one + other])
    # the norm does not change with the length of x: its gradient is orthogonal to x
    assert (by_x * x).sum(-1).tolist() == pytest.approx([0.0, 0.0], abs=1e-6)
    assert by_x[1].tolist() == pytest.approx([other, 0.0], abs=1e-6)


@pytest.mark.parametrize("shape", SHAPES)
def test_values_and_gradients_are_those_of_float64(shape: tuple[int, ...]) -> None:
    x, weight, grad = torch.randn(shape) + 0.3, torch.randn(shape[-1]), torch.randn(shape)
    y, w = x.double().requires_grad_(), weight.double().requires_grad_()
    exact = F.rms_norm(y, shape[-1:], w, 1e-6)
    expected = torch.autograd.grad(exact, (y, w), grad.double())
    out, inverse = rms_norm(x, weight, 1e-6)
    torch.testing.assert_close(out.double(), exact.detach(), **NEAR)
    for found, each in zip(rms_norm_gradients(x, weight, inverse, grad), expected, strict=True):
        torch.testing.assert_close(found.double(), each, **NEAR)


def test_a_row_of_zeros_has_finite_gradients() -> None:
    x, weight = torch.zeros(2, 20), torch.full((20,), 2.0)
    out, inverse = rms_norm(x, weight, 1e-4)
    assert out.eq(0).all()
    by_x, by_weight = rms_norm_gradients(x, weight, inverse, torch.ones(2, 20))
    torch.testing.assert_close(by_x, torch.full((2, 20), 200.0))  # weight / √eps
    assert by_weight.eq(0).all()


def test_what_is_no_number_spoils_its_row_and_the_weight_alone() -> None:
    x, weight = torch.ones(70, 20), torch.ones(20)
    x[3, 7], x[4, 5] = math.nan, math.inf
    out, inverse = rms_norm(x, weight, 1e-6)
    assert out.isfinite().all(-1).logical_not().nonzero().flatten().tolist() == [3, 4]
    by_x, by_weight = rms_norm_gradients(x, weight, inverse, torch.ones(70, 20))
    assert by_x.isfinite().all(-1).logical_not().nonzero().flatten().tolist() == [3, 4]
    assert not by_weight.isfinite().any()


def test_runs_and_threads_give_the_same_bits() -> None:
    x, weight, grad = torch.randn(2000, 300), torch.randn(300), torch.randn(2000, 300)
    found = []
    before = torch.get_num_threads()
    try:
        for threads in (1, 1, 2, 2):
            torch.set_num_threads(threads)
            out, inverse = rms_norm(x, weight, 1e-6)
            found.append((out, inverse, *rms_norm_gradients(x, weight, inverse, grad)))
    finally:
        torch.set_num_threads(before)
    assert all(torch.equal(a, b) for other in found[1:] for a, b in zip(found[0], other, strict=True))
