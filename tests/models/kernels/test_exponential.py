"""e^x inside of kernels, against float64."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt
import pytest

from truing.models.kernels.compiler import Array, U, compiled
from truing.models.kernels.exponential import exp


@compiled
def _powers(x: Array, out: Array) -> None:
    for i in range(U(x.shape[0])):
        out[i] = exp(x[i])


def _exp(x: npt.ArrayLike) -> Array:
    numbers = np.ascontiguousarray(x, dtype=np.float32)
    out = np.empty_like(numbers)
    _powers(numbers, out)
    return out


@pytest.mark.parametrize("most", [0.5, 10.0, 87.0])
def test_it_is_as_exact_as_float32_can_be(most: float) -> None:
    x = np.linspace(-most, most, 100_003).astype(np.float32)
    exact = np.exp(x.astype(np.float64))
    assert np.abs(_exp(x) / exact - 1).max() < 1.2e-7  # 2⁻²³


def test_at_0_and_its_neighbours_it_is_exact() -> None:
    assert _exp([0.0, -0.0]).tolist() == [1.0, 1.0]
    assert _exp([1.0, math.log(2)]).tolist() == pytest.approx([math.e, 2.0], rel=1e-7)


def test_beyond_the_ends_it_is_as_at_the_ends() -> None:
    least, most = _exp([-87.0, 88.0]).tolist()
    assert _exp([-88.0, -1e4, -3e38, -math.inf]).tolist() == [least] * 4
    assert _exp([89.0, 1e4, 3e38, math.inf]).tolist() == [most] * 4
    assert 0 < least < 1.7e-38
    assert 1.6e38 < most < math.inf


def test_what_is_no_number_stays_none() -> None:
    found = _exp([math.nan] * 20 + [1.0])  # more than a vector, and a rest
    assert np.isnan(found[:-1]).all()
    assert found[-1] == pytest.approx(math.e)
