from __future__ import annotations

import math
from math import inf, log, nan

import pytest
import torch
from torch import Tensor

from truing.models.kernels.softmax import log_sums, powers_, softmax_


def drawn(rows: int, columns: int, spread: float = 5.0) -> Tensor:
    return torch.randn(rows, columns, generator=torch.Generator().manual_seed(columns)) * spread


def test_logits_of_log_3_and_0_have_three_quarters_and_a_quarter():
    x = torch.tensor([[log(3), 0.0], [0.0, 0.0]])
    for found in (log_sums(x), softmax_(x)):
        assert found[0].tolist() == pytest.approx([log(3), 0])
        assert found[1].tolist() == pytest.approx([log(4 / 3), log(2)])  # Σ e^(x − highest): 1 + 1/3, and 2
    torch.testing.assert_close(x, torch.tensor([[0.75, 0.25], [0.5, 0.5]]))


@pytest.mark.parametrize("columns", [1, 2, 15, 16, 17, 63, 64, 65, 1000, 8192])
def test_every_width_is_the_softmax_in_double_precision(columns: int):
    x = drawn(7, columns)
    truth = x.double()
    highest, log_total = log_sums(x)
    assert torch.equal(highest, x.amax(1))
    torch.testing.assert_close((highest + log_total).double(), truth.logsumexp(1), atol=4e-6, rtol=1e-6)
    powers = powers_(x.clone(), highest + log_total)
    again = softmax_(x)
    assert torch.equal(again[0], highest)
    torch.testing.assert_close(again[1], log_total)
    torch.testing.assert_close(x.double(), truth.softmax(1), atol=1e-9, rtol=5e-6)
    torch.testing.assert_close(powers.double(), truth.softmax(1), atol=1e-9, rtol=1e-5)


def test_large_sums_stay_exact():
    highest, log_total = log_sums(torch.zeros(1, 1 << 20))
    assert highest.item() == 0
    assert log_total.item() == pytest.approx(20 * log(2), rel=1e-6)


def test_a_logit_of_minus_infinity_has_a_probability_of_exactly_0():
    x = torch.tensor([[0.0, -inf, 0.0], [-inf, 5.0, -200.0]])
    highest, log_total = log_sums(x)
    assert highest.tolist() == [0, 5]
    assert log_total.tolist() == pytest.approx([log(2), 0])
    assert powers_(x.clone(), highest + log_total).tolist()[1] == [0, 1, 0]
    softmax_(x)
    assert x.tolist() == [[0.5, 0, 0.5], [0, 1, 0]]


@pytest.mark.parametrize("sign", [1.0, -1.0])
@pytest.mark.parametrize("place", [0, 40, 99])
def test_a_logit_that_is_no_number_spoils_its_row_and_no_other(place: int, sign: float):
    x = drawn(2, 100)
    x[0, place] = math.copysign(nan, sign)
    total = sum(log_sums(x))
    assert isinstance(total, Tensor)
    softmax_(x)
    assert x[0].isnan().all()
    assert total[0].isnan()
    assert x[1].sum().item() == pytest.approx(1)
    assert total[1].isfinite()


@pytest.mark.parametrize("row", [[inf, 0.0, 1.0], [-inf, -inf, -inf]])
def test_rows_without_a_softmax_are_what_they_are_everywhere(row: list[float]):
    x = torch.tensor([row])
    expected = x.softmax(1).isnan()
    assert expected.any()
    assert log_sums(x)[1].isnan().all()
    softmax_(x)
    assert x.isnan()[expected].all()


def test_negative_numbers_alone_have_a_highest_too():
    assert log_sums(torch.tensor([[-3.0, -1.5, -2.0, -0.0], [-3.0, -1.5, -2.0, -9.0]]))[0].tolist() == [0, -1.5]


def test_rows_are_spread_over_threads_and_nothing_changes():
    before = torch.get_num_threads()
    x = drawn(50, 1 << 14)
    alone, together = x.clone(), x.clone()
    try:
        torch.set_num_threads(1)
        one = softmax_(alone)
        torch.set_num_threads(3)
        three = softmax_(together)
    finally:
        torch.set_num_threads(before)
    assert torch.equal(alone, together)
    assert all(torch.equal(a, b) for a, b in zip(one, three, strict=True))


def test_no_rows_are_fine():
    assert [found.shape for found in softmax_(torch.empty(0, 5))] == [(0,), (0,)]
