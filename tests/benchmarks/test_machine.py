from __future__ import annotations

import torch
from common.machine import gemm_rate, gemm_rates


def test_the_rate_of_products_is_that_of_the_faster_library() -> None:
    rates = gemm_rates(rounds=1)
    assert set(rates) == {"torch.mm", *(["oneDNN"] if torch.backends.mkldnn.is_available() else [])}  # type: ignore[no-untyped-call]
    assert all(1e8 < rate < 1e14 for rate in rates.values())
    assert gemm_rate(rounds=1) > 0.5 * max(rates.values())
