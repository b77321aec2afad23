from __future__ import annotations

import pytest
import torch

from truing.models import precision
from truing.models.precision import by_onednn, products_are_exact

pytestmark = pytest.mark.skipif(
    not hasattr(getattr(torch.backends.mkldnn, "matmul", None), "fp32_precision"), reason="this PyTorch has no setting"
)


@pytest.fixture(autouse=True)
def asked_anew():
    products_are_exact.cache_clear()
    yield
    products_are_exact.cache_clear()


def test_the_setting_stands_inside_and_is_put_back():
    setting = torch.backends.mkldnn.matmul
    before = setting.fp32_precision
    with by_onednn():
        assert setting.fp32_precision == "bf16"
    assert setting.fp32_precision == before


def test_the_setting_is_put_back_after_an_error():
    setting = torch.backends.mkldnn.matmul
    before = setting.fp32_precision
    with pytest.raises(RuntimeError), by_onednn():
        torch.mm(torch.ones(2, 3), torch.ones(2, 3))
    assert setting.fp32_precision == before


def test_a_setting_that_a_user_made_is_put_back_too():
    setting = torch.backends.mkldnn.matmul
    before = setting.fp32_precision
    setting.fp32_precision = "ieee"
    try:
        with by_onednn():
            pass
        assert setting.fp32_precision == "ieee"
    finally:
        setting.fp32_precision = before


def test_other_processors_are_not_asked(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(precision, "onednn_is_faster", lambda: False)
    assert not products_are_exact()


def test_products_of_rounded_factors_are_found_out(monkeypatch: pytest.MonkeyPatch):
    exact = torch.mm

    def rounded(left: torch.Tensor, right: torch.Tensor) -> torch.Tensor:
        """What a processor with AMX makes of it."""
        if left.dtype == torch.float32:
            left, right = left.bfloat16().float(), right.bfloat16().float()
        return exact(left, right)

    monkeypatch.setattr(precision, "onednn_is_faster", lambda: True)
    monkeypatch.setattr(torch, "mm", rounded)
    assert not products_are_exact()


def test_where_it_is_used_products_are_float32s():
    if not products_are_exact():
        pytest.skip("not on this processor")
    left, right = torch.randn(128, 64), torch.randn(64, 64)
    with by_onednn():
        found = torch.mm(left, right)
    torch.testing.assert_close(found, torch.mm(left.double(), right.double()).float(), atol=2e-5, rtol=1e-5)
