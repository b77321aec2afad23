from __future__ import annotations

import numpy as np
import pytest

from truing.models.kernels.blocks import COLUMNS, add_product, turn
from truing.models.kernels.compiler import U


def drawn(*shape: int) -> np.ndarray:
    return np.random.default_rng(sum(shape)).standard_normal(shape).astype(np.float32)


def test_two_by_two_times_two_by_sixteen():
    a, b, c = np.array([1, 2, 3, 4], np.float32), np.ones((2, 16), np.float32), np.full((2, 16), 10, np.float32)
    b[1] = 5
    places = (a, U(0), U(2), U(1), b.reshape(-1), U(0), U(16), c.reshape(-1), U(0), U(16), U(2), U(16), U(2))
    add_product(*places, True)
    assert c[:, 0].tolist() == [10 + 1 + 2 * 5, 10 + 3 + 4 * 5]
    add_product(*places, False)
    assert (c == np.array([[11], [23]])).all()


@pytest.mark.parametrize("depth", [1, 2, 64, 100])
@pytest.mark.parametrize("columns", [16, 32, 48, 64, 80, 208])
@pytest.mark.parametrize("rows", [*range(1, 14), 48])
def test_every_size_is_the_product_in_double_precision(rows: int, columns: int, depth: int):
    # in the middle of larger matrices, so that nothing beside the product may be read for it or written
    a, b, c = drawn(rows + 2, depth + 5), drawn(depth + 2, columns + 7), drawn(rows + 2, columns + 9)
    for accumulate in (True, False):
        expected = c.astype(np.float64)
        product = a[1:-1, 2:-3].astype(np.float64) @ b[1:-1, 3:-4].astype(np.float64)
        expected[1:-1, 4:-5] = product + (expected[1:-1, 4:-5] if accumulate else 0)
        add_product(
            a.reshape(-1), U(a.shape[1] + 2), U(a.shape[1]), U(1), b.reshape(-1), U(b.shape[1] + 3), U(b.shape[1]),
            c.reshape(-1), U(c.shape[1] + 4), U(c.shape[1]), U(rows), U(columns), U(depth), accumulate,
        )  # fmt: skip
        np.testing.assert_allclose(c, expected, atol=3e-6 * depth**0.5, rtol=1e-6)


def test_the_left_factor_may_be_read_by_columns():
    a, b, c = drawn(50, 7), drawn(50, 16), np.zeros((7, 16), np.float32)
    add_product(
        a.reshape(-1),
        U(0),
        U(1),
        U(7),
        b.reshape(-1),
        U(0),
        U(16),
        c.reshape(-1),
        U(0),
        U(16),
        U(7),
        U(16),
        U(50),
        False,
    )
    np.testing.assert_allclose(c, a.T @ b, atol=1e-5)


@pytest.mark.parametrize(("rows", "depth"), [(0, 3), (3, 0)])
def test_with_nothing_to_multiply_nothing_is_written(rows: int, depth: int):
    a, c = np.ones(9, np.float32), np.full(48, 7, np.float32)
    b = np.ones(48, np.float32)
    add_product(a, U(0), U(3), U(1), b, U(0), U(16), c, U(0), U(16), U(rows), U(16), U(depth), False)
    assert (c == 7).all()


def test_what_is_there_before_is_not_read_unless_it_is_added_to():
    a, b, c = np.ones(4, np.float32), np.ones(64, np.float32), np.full(16, np.nan, np.float32)
    add_product(a, U(0), U(4), U(1), b, U(0), U(16), c, U(0), U(16), U(1), U(16), U(4), False)
    assert (c == 4).all()


@pytest.mark.parametrize("columns", [16, 48])
@pytest.mark.parametrize("rows", [0, 1, 15, 16, 17, 40])
def test_rows_become_columns_and_what_fills_them_up_is_zero(rows: int, columns: int):
    wide = -(-rows // COLUMNS) * COLUMNS
    x, into = drawn(rows + 1, columns + 6), np.full((columns, wide + 5), 7, np.float32)
    turn(x.reshape(-1), U(x.shape[1] + 2), U(x.shape[1]), into.reshape(-1), U(1), U(wide + 5), U(rows), U(columns))
    assert (into[:, 1 : rows + 1] == x[1:, 2 : columns + 2].T).all()
    assert (into[:, rows + 1 : wide + 1] == 0).all()
    assert (into[:, 0] == 7).all()
    assert (into[:, wide + 1 :] == 7).all()
