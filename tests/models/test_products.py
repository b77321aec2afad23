"""Products agree with float64 whichever library makes them."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from truing.models import products


@pytest.fixture(params=["onednn", "mkl"])
def library(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """Both ways on any processor: which one is faster there does not matter."""
    if request.param == "onednn" and not hasattr(torch.ops.mkldnn, "_linear_pointwise"):
        pytest.skip("this PyTorch has no oneDNN")
    monkeypatch.setattr(products, "onednn_is_faster", lambda: request.param == "onednn")
    return str(request.param)


def test_a_product_is_left_times_right_transposed(library: str) -> None:
    left = torch.tensor([[1.0, 2.0], [0.0, 1.0]])
    right = torch.tensor([[3.0, 4.0], [5.0, 6.0], [1.0, 0.0]])
    assert products.product(left, right).tolist() == [[11.0, 17.0, 1.0], [4.0, 6.0, 0.0]]


@pytest.mark.parametrize("shape", [(1, 5, 3), (33, 64, 48), (257, 130, 96)])
def test_transposed_views_are_read_as_what_they_are(library: str, shape: tuple[int, int, int]) -> None:
    rows, inner, columns = shape
    left, right = torch.randn(inner, rows).t(), torch.randn(inner, columns).t()
    torch.testing.assert_close(products.product(left, right).double(), left.double() @ right.double().t(), **_NEAR)


_NEAR = {"rtol": 1e-5, "atol": 2e-5}


@pytest.mark.parametrize("biased", [True, False])
@pytest.mark.parametrize("width", [7, 40])
def test_value_and_gradients_of_a_linear_layer_are_those_of_float64(library: str, width: int, biased: bool) -> None:
    x, weight = torch.randn(2, 19, 24, requires_grad=True), torch.randn(width, 24, requires_grad=True)
    bias = torch.randn(width, requires_grad=True) if biased else None
    grad = torch.randn(2, 19, width)
    inputs = [t for t in (x, weight, bias) if t is not None]
    out = products.linear(x, weight, bias)
    exact = F.linear(*(None if t is None else t.double() for t in (x, weight, bias)))  # type: ignore[arg-type]
    torch.testing.assert_close(out.double(), exact, **_NEAR)
    found = torch.autograd.grad(out, inputs, grad)
    expected = torch.autograd.grad(exact, inputs, grad.double())
    for one, other in zip(found, expected, strict=True):
        torch.testing.assert_close(one, other, **_NEAR)


def test_only_gradients_that_are_wanted_are_made(library: str) -> None:
    x, weight = torch.randn(5, 4, requires_grad=True), torch.randn(3, 4)
    products.linear(x, weight).sum().backward()
    torch.testing.assert_close(x.grad, weight.sum(0).expand(5, 4))
    assert weight.grad is None


def test_no_row_is_no_problem(library: str) -> None:
    x, weight = torch.randn(0, 4, requires_grad=True), torch.randn(3, 4, requires_grad=True)
    out = products.linear(x, weight)
    assert out.shape == (0, 3)
    out.sum().backward()
    assert weight.grad is not None
    assert weight.grad.tolist() == [[0.0] * 4] * 3


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_types_go_the_usual_way(library: str, dtype: torch.dtype) -> None:
    x, weight = torch.randn(5, 4, dtype=dtype), torch.randn(3, 4, dtype=dtype)
    assert torch.equal(products.linear(x, weight), F.linear(x, weight))


def test_autocast_still_casts(library: str) -> None:
    with torch.autocast("cpu", dtype=torch.bfloat16):
        assert products.linear(torch.randn(5, 4), torch.randn(3, 4)).dtype == torch.bfloat16


def test_the_layer_is_a_linear_layer_with_its_own_weights(library: str) -> None:
    layer = nn.Linear(6, 4)
    x = torch.randn(3, 6)
    expected = layer(x)
    layer.__class__ = products.Linear
    assert isinstance(layer, nn.Linear)
    assert list(layer.state_dict()) == ["weight", "bias"]
    torch.testing.assert_close(layer(x), expected)
