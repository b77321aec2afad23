import os
import subprocess
import sys

import numpy as np
import pytest
import torch

from truing.models.kernels.product import PANEL, multiply, pack


def packed(*weights):
    outputs, width = sum(w.shape[0] for w in weights), weights[0].shape[1]
    out = np.zeros((-(-outputs // PANEL), width, PANEL), np.float32)
    begin = 0
    for weight in weights:
        pack(weight.numpy(), begin, out)
        begin += weight.shape[0]
    return out


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_packed_weights_are_panels_of_neighbouring_outputs_and_parts_follow_each_other():
    first, second = random(PANEL - 2, 5), random(7, 5, seed=1)
    out = packed(first, second)
    together = torch.cat([first, second])
    assert out.shape == (2, 5, PANEL)
    assert np.array_equal(out[0].T, together[:PANEL].numpy())
    assert np.array_equal(out[1].T[:5], together[PANEL:].numpy())
    assert not out[1].T[5:].any()


@pytest.mark.parametrize("rows", [*range(1, 14), 24, 25, 60])
def test_products_of_every_number_of_rows_are_those_of_float64(rows):
    x, weight, bias = random(rows, 40), random(3 * PANEL, 40, seed=1), random(3 * PANEL, seed=2)
    out = torch.full((rows, 3 * PANEL), torch.nan)
    multiply(x.numpy(), packed(weight), bias.numpy(), out.numpy(), 0, 3)
    expected = x.double() @ weight.double().T + bias.double()
    torch.testing.assert_close(out.double(), expected, atol=1e-5, rtol=1e-5)


@pytest.mark.parametrize("depth", [1, 2, 1000])
def test_inputs_of_any_width(depth):
    x, weight = random(5, depth), random(PANEL, depth, seed=1)
    out = torch.empty(5, PANEL)
    multiply(x.numpy(), packed(weight), np.zeros(PANEL, np.float32), out.numpy(), 0, 1)
    torch.testing.assert_close(out.double(), x.double() @ weight.double().T, atol=1e-4, rtol=1e-5)


def test_more_rows_than_the_cache_holds_go_share_by_share():
    x, weight = random(70, 8192), random(PANEL, 8192, seed=1)  # 16 rows a share
    out = torch.empty(70, PANEL)
    multiply(x.numpy(), packed(weight), np.zeros(PANEL, np.float32), out.numpy(), 0, 1)
    torch.testing.assert_close(out.double(), x.double() @ weight.double().T, atol=1e-3, rtol=1e-5)


def test_only_the_panels_that_were_asked_for_are_written_and_by_panels_is_the_same_to_the_bit():
    x, weight = random(7, 16), random(4 * PANEL, 16, seed=1)
    bias, whole, parts = np.zeros(4 * PANEL, np.float32), torch.empty(7, 4 * PANEL), torch.zeros(7, 4 * PANEL)
    multiply(x.numpy(), packed(weight), bias, whole.numpy(), 0, 4)
    multiply(x.numpy(), packed(weight), bias, parts.numpy(), 1, 3)
    assert not parts[:, :PANEL].any()
    assert not parts[:, 3 * PANEL :].any()
    assert torch.equal(parts[:, PANEL : 3 * PANEL], whole[:, PANEL : 3 * PANEL])


def test_a_row_is_the_same_to_the_bit_in_any_company():
    x, weight = random(31, 48), random(2 * PANEL, 48, seed=1)
    bias = random(2 * PANEL, seed=2).numpy()

    def product(rows):
        out = torch.empty(rows.shape[0], 2 * PANEL)
        multiply(rows.numpy(), packed(weight), bias, out.numpy(), 0, 2)
        return out

    together = product(x)
    for begin, end in ((0, 1), (3, 15), (5, 31)):
        assert torch.equal(product(x[begin:end].clone()), together[begin:end])


def test_what_is_not_finite_stays_in_its_row():
    x, weight = random(4, 16), random(PANEL, 16, seed=1)
    x[1, 3], x[2, 5] = torch.nan, torch.inf
    out = torch.empty(4, PANEL)
    multiply(x.numpy(), packed(weight), np.zeros(PANEL, np.float32), out.numpy(), 0, 1)
    assert out.isfinite().all(-1).tolist() == [True, False, False, True]


@pytest.mark.slow
@pytest.mark.parametrize(("features", "panel"), [("+avx,+avx2,+fma", 16), ("+sse2", 8)])
def test_on_a_processor_with_fewer_or_smaller_registers_products_are_right_too(features, panel, tmp_path):
    env = os.environ | {"NUMBA_CPU_NAME": "x86-64", "NUMBA_CPU_FEATURES": features, "NUMBA_CACHE_DIR": str(tmp_path)}
    env["EXPECTED_PANEL"] = str(panel)
    subprocess.run([sys.executable, "-c", _ELSEWHERE], env=env, check=True)


_ELSEWHERE = """
import os
import numpy as np
from truing.models.kernels.product import PANEL, multiply, pack
assert int(os.environ["EXPECTED_PANEL"]) == PANEL
draw = np.random.default_rng(0)
weight = draw.standard_normal((4 * PANEL, 30)).astype(np.float32)
packed = np.empty((4, 30, PANEL), np.float32)
pack(weight, 0, packed)
for rows in range(1, 15):
    x, out = draw.standard_normal((rows, 30)).astype(np.float32), np.empty((rows, 4 * PANEL), np.float32)
    multiply(x, packed, np.zeros(4 * PANEL, np.float32), out, 0, 4)
    assert np.abs(out - x.astype(np.float64) @ weight.T).max() < 1e-5
"""
