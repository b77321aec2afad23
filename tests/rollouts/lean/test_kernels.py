import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from truing.rollouts.lean import kernels

ONE = np.float32(1)


def random(*shape, seed=0):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def test_a_sum_and_its_norm_by_hand():
    x, delta = np.array([[1.0, 2.0, 2.0]], np.float32), np.array([[2.0, 2.0, -2.0]], np.float32)
    out = np.zeros((1, 3), np.float32)
    kernels.add_norm(x, delta, np.array([1.0, 2.0, 5.0], np.float32), np.float32(0), out, 0, 1)
    assert x.tolist() == [[3.0, 4.0, 0.0]]
    root = math.sqrt(25 / 3)
    assert out[0].tolist() == pytest.approx([3 / root, 8 / root, 0.0])


@pytest.mark.parametrize("width", [1, 16, 17, 300])
def test_norm_and_gate_are_those_of_float64(width):
    x, weight = random(5, width), random(width, seed=1)
    out = torch.empty(5, width)
    kernels.add_norm(
        x.clone().numpy(), np.zeros((5, width), np.float32), weight.numpy(), np.float32(1e-5), out.numpy(), 0, 5
    )
    expected = F.rms_norm(x.double(), (width,), weight.double(), 1e-5)
    torch.testing.assert_close(out.double(), expected, atol=1e-6, rtol=1e-6)
    both = 10 * random(5, 2 * width, seed=2)
    kernels.gate(both.numpy(), out.numpy(), 0, 5)
    g, u = both.double().chunk(2, -1)
    torch.testing.assert_close(out.double(), F.silu(g) * u, atol=1e-5, rtol=1e-6)


def test_a_gate_of_any_size_is_finite_and_nan_stays_nan():
    gate_up = np.array([[-1000.0, 1000.0, -88.0, np.nan, 1.0, 1.0, 1.0, 1.0]], np.float32)
    out = np.zeros((1, 4), np.float32)
    kernels.gate(gate_up, out, 0, 1)
    assert out[0, :3].tolist() == pytest.approx([0.0, 1000.0, 0.0], abs=1e-30)
    assert np.isnan(out[0, 3])


def test_only_the_rows_that_were_asked_for_are_touched():
    x, delta, out = np.ones((4, 8), np.float32), np.ones((4, 8), np.float32), np.zeros((4, 8), np.float32)
    kernels.add_norm(x, delta, np.ones(8, np.float32), np.float32(0), out, 1, 3)
    assert x[:, 0].tolist() == [1, 2, 2, 1]
    assert out[:, 0].tolist() == [0, 1, 1, 0]


def test_a_quarter_turn_swaps_the_halves_of_queries_and_keys_and_leaves_values():
    heads = np.array([[[1.0, 2.0, 3.0, 4.0], [5.0, 6.0, 7.0, 8.0], [9.0, 9.0, 9.0, 9.0]]], np.float32)
    cos, sin = np.ones((3, 2), np.float32), np.zeros((3, 2), np.float32)
    cos[2], sin[2] = 0, 1
    kernels.turn(heads, cos, sin, np.array([2]), 2)
    assert heads.tolist() == [[[-3.0, -4.0, 1.0, 2.0], [-7.0, -8.0, 5.0, 6.0], [9.0, 9.0, 9.0, 9.0]]]


def test_norms_of_heads_reach_only_the_heads_named():
    heads = random(3, 4, 8)
    before, weight = heads.clone(), random(8, seed=1)
    kernels.norm_heads(heads.numpy(), 1, 3, weight.numpy(), np.float32(1e-6))
    assert torch.equal(heads[:, [0, 3]], before[:, [0, 3]])
    torch.testing.assert_close(heads[:, 1:3], F.rms_norm(before[:, 1:3], (8,), weight, 1e-6))


def attended(lengths, ages, *, key_heads, ratio, size, scale=0.3, layer=1, pieces=1, order=None, queries=None):
    """By the kernel, and by float64: rows of as many prompt and suffix tokens, the last layer of two."""
    rows, room, heads = len(lengths), max(ages) + 3, key_heads * ratio
    q = random(rows, heads + 2 * key_heads, size)
    if queries is not None:
        q[:, :heads] = queries
    suffix = random(2, rows, 2, key_heads, room, size, seed=1)
    prompts = [random(2, 2, key_heads, n, size, seed=10 + n) for n in lengths]
    out = torch.zeros(rows, heads, size)
    arrays = np.array(ages), np.array([p.data_ptr() for p in prompts], np.uintp), np.array(lengths)
    for piece in range(pieces):
        bounds = rows * piece // pieces, rows * (piece + 1) // pieces
        kernels.attend(
            q.numpy(), suffix[layer].numpy(), layer, *arrays, np.array(order or range(rows)), np.float32(scale),
            out.numpy(), *bounds,
        )  # fmt: skip
    expected = torch.empty(rows, heads, size, dtype=torch.float64)
    for row, (prompt, age) in enumerate(zip(prompts, ages, strict=True)):
        keys, values = torch.cat([prompt[layer], suffix[layer, row, :, :, : age + 1]], 2).double()  # [K, T, D]
        for head in range(heads):
            weights = (keys[head // ratio] @ q[row, head].double() * scale).softmax(0)
            expected[row, head] = weights @ values[head // ratio]
    return out.double(), expected


@pytest.mark.parametrize("ratio", [1, 2, 3, 4])
@pytest.mark.parametrize("size", [8, 20, 64])
def test_attention_to_prompt_and_suffix_is_that_of_float64(ratio, size):
    found, expected = attended([1, 3, 4, 9, 70], [0, 5, 3, 17, 2], key_heads=2, ratio=ratio, size=size)
    torch.testing.assert_close(found, expected, atol=2e-6, rtol=1e-5)


def test_rows_in_any_order_and_by_pieces_are_the_same():
    shape = {"key_heads": 2, "ratio": 2, "size": 16}
    whole, _ = attended([4, 7, 4, 9, 2], [3, 0, 5, 1, 8], **shape)
    parts, _ = attended([4, 7, 4, 9, 2], [3, 0, 5, 1, 8], pieces=3, order=[2, 0, 4, 1, 3], **shape)
    assert torch.equal(whole, parts)


def test_scores_of_hundreds_do_not_overflow():
    found, expected = attended([5, 8], [2, 4], key_heads=1, ratio=2, size=16, queries=200 * random(2, 2, 16, seed=3))
    assert found.isfinite().all()
    torch.testing.assert_close(found, expected, atol=1e-4, rtol=1e-4)


def test_what_is_not_a_number_is_not_hidden_by_the_softmax():
    q = random(2, 2, 16, seed=3)
    q[1, 0, 3] = math.nan
    found, _ = attended([5, 8], [2, 4], key_heads=1, ratio=2, size=16, queries=q)
    assert found.isnan().all(-1).tolist() == [[False, False], [True, False]]


def test_a_token_is_placed_behind_the_others_of_its_row():
    suffix = np.zeros((3, 2, 1, 4, 2), np.float32)
    heads = np.arange(2 * 3 * 2, dtype=np.float32).reshape(2, 3, 2) + 1  # one query, one key, one value
    kernels.place(heads, 1, suffix, np.array([0, 2]))
    assert suffix[0, :, 0, 0].tolist() == [[3, 4], [5, 6]]
    assert suffix[1, :, 0, 2].tolist() == [[9, 10], [11, 12]]
    assert np.count_nonzero(suffix) == 8
