from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from truing.models import tiles
from truing.models.tiles import Tiles, num_pairs, segments
from truing.tree import Branch, Span, Tree, pack

# prompts and branches around the size of a block, where a block more begins
LAYOUTS = {
    "one token": [(1, [])],
    "a block less one": [(40, [23])],
    "a block": [(40, [24])],
    "a block and one": [(40, [25])],
    "a lone branch over three blocks": [(100, [70])],
    "two branches of a short prompt": [(3, [80, 5])],
    "a prompt that fills its blocks": [(128, [64, 30, 66])],
    "a prompt of two blocks and one token": [(129, [64, 30, 66])],
    "eight ragged branches, one empty": [(90, [3, 130, 0, 64, 65, 1, 20, 128])],
    "no prompt": [(0, [70, 2, 64])],
    "only a prompt": [(150, [])],
    "several trees": [(4, [3, 5]), (0, [2]), (130, [70, 1]), (65, [2]), (20, [90])],
    "more pairs than one product takes": [(200, [150, 140, 130, 120, 110])],
}


def layout(shapes: list[tuple[int, list[int]]]) -> tuple[Span, ...]:
    return pack([Tree([1] * p, [Branch([1] * size, [True] * size) for size in sizes]) for p, sizes in shapes]).layout


def dense(spans: tuple[Span, ...]) -> Tensor:
    """[T, T]: who sees whom, spelled out."""
    size = spans[-1].end
    allowed = torch.zeros(size, size, dtype=torch.bool)
    for span in spans:
        for start, end in (span.prompt, *span.branches):
            allowed[start:end, start:end] = torch.ones(end - start, end - start, dtype=torch.bool).tril()
        for start, end in span.branches:
            allowed[start:end, slice(*span.prompt)] = True
    return allowed


def heads(size: int, queries: int, keys: int, width: int = 16, spread: float = 1.0) -> list[Tensor]:
    draw = torch.Generator().manual_seed(0)
    shapes = ((queries, spread), (keys, spread), (keys, 1.0), (queries, 1.0))
    drawn = [torch.randn(1, size, n, width, generator=draw).mul_(by).transpose(1, 2) for n, by in shapes]
    return [*drawn[:3], drawn[3].transpose(1, 2)]


def truth(inputs: list[Tensor], allowed: Tensor, scale: float) -> list[Tensor]:
    """Output, log-sum-exp and three gradients with a dense mask in float64."""
    query, key, value = (tensor.double().requires_grad_() for tensor in inputs[:3])
    k, v = (tensor.repeat_interleave(query.shape[1] // tensor.shape[1], 1) for tensor in (key, value))
    scores = (query @ k.transpose(-1, -2) * scale).masked_fill(~allowed, -math.inf)
    out = (scores.softmax(-1) @ v).transpose(1, 2)
    out.backward(inputs[3].double())
    found = [out.detach(), scores.logsumexp(-1)[0].detach(), query.grad, key.grad, value.grad]
    assert all(tensor is not None for tensor in found)
    return [tensor.float() for tensor in found if tensor is not None]


def ours(inputs: list[Tensor], spans: tuple[Span, ...], scale: float, block: int = 64) -> list[Tensor]:
    query, key, value, grad = inputs
    cut = Tiles(spans, query.shape[1], key.shape[1], block)
    out, lse = tiles.forward(cut, query, key, value, scale)
    return [out, lse, *tiles.backward(cut, query, key, value, out, lse, grad, scale)]


@pytest.mark.parametrize("block", [64, 32])
@pytest.mark.parametrize("keys", [4, 2, 1])
@pytest.mark.parametrize("name", LAYOUTS)
def test_outputs_sums_and_gradients_are_those_of_a_dense_mask(name: str, keys: int, block: int):
    spans = layout(LAYOUTS[name])
    inputs = heads(spans[-1].end, 4, keys)
    for found, expected in zip(ours(inputs, spans, 0.3, block), truth(inputs, dense(spans), 0.3), strict=True):
        assert found.shape == expected.shape
        torch.testing.assert_close(found, expected, atol=2e-5, rtol=2e-5)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_scores_beyond_the_range_of_float32s_powers_stay_finite(sign: float):
    # every score is about ±900: 2 to that power is infinite or zero, and what fills a block up must not count as 0
    spans = layout([(70, [40, 30])])
    query, key, value, grad = heads(140, 2, 1)
    query, key = query * 0.01 + 15.0, (key * 0.01 + 15.0) * sign
    inputs = [query, key, value, grad]
    for found, expected in zip(ours(inputs, spans, 0.25), truth(inputs, dense(spans), 0.25), strict=True):
        assert found.isfinite().all()
        torch.testing.assert_close(found, expected, atol=2e-2, rtol=2e-3)


def test_a_key_that_is_not_yet_seen_does_not_matter_however_large_its_score():
    spans = layout([(0, [80])])
    inputs = heads(80, 2, 2)
    inputs[1][:, :, -1] = 1e4  # only the last query sees the last key
    for found, expected in zip(ours(inputs, spans, 0.25), truth(inputs, dense(spans), 0.25), strict=True):
        assert found.isfinite().all()
        # the last query's gradient is a difference of terms of 1e4
        torch.testing.assert_close(found, expected, atol=2e-3, rtol=1e-4)


def test_the_same_micro_batch_gives_the_same_numbers_again_bit_for_bit():
    spans = layout(LAYOUTS["several trees"])
    inputs = heads(spans[-1].end, 4, 2)
    for once, again in zip(ours(inputs, spans, 0.25), ours(inputs, spans, 0.25), strict=True):
        assert torch.equal(once, again)


def test_layers_that_share_one_cut_do_not_touch_each_others_results():
    spans = layout(LAYOUTS["several trees"])
    query, key, value, grad = heads(spans[-1].end, 4, 2)
    cut = Tiles(spans, 4, 2, 64)
    first = tiles.forward(cut, query, key, value, 0.25)
    kept = [tensor.clone() for tensor in first]
    second = tiles.forward(cut, value.repeat_interleave(2, 1), value, key, 0.25)
    gradients = tiles.backward(cut, query, key, value, *first, grad, 0.25)
    known = [tensor.clone() for tensor in gradients]
    tiles.backward(cut, value.repeat_interleave(2, 1), value, key, *second, grad, 0.25)
    for now, before in zip((*first, *gradients), (*kept, *known), strict=True):
        assert torch.equal(now, before)


def test_tensors_of_any_strides_are_read():
    spans = layout([(70, [20, 30])])
    inputs = heads(120, 4, 2)
    rearranged = [tensor.contiguous() for tensor in inputs]
    rearranged[3] = inputs[3].transpose(1, 2).contiguous().transpose(1, 2)
    for found, expected in zip(ours(rearranged, spans, 0.3), ours(inputs, spans, 0.3), strict=True):
        assert torch.equal(found, expected)


def test_pairs_that_are_needed_and_pairs_in_tiles_are_counted():
    # prompt 3: 6 pairs; branches of 2 and 1: 3 and 1; to the prompt (2 + 1)·3 = 9. Tiles: three own ones and two to it
    assert num_pairs(layout([(3, [2, 1])]), 64) == (19, 5 * 64**2)
    # a lone branch goes on: 65 tokens are 65·66/2 pairs, two blocks with themselves and one with the other
    assert num_pairs(layout([(60, [5])]), 64) == (2145, 3 * 64**2)
    # in blocks of 32: three with themselves and three with those before
    assert num_pairs(layout([(60, [5])]), 32) == (2145, 6 * 32**2)


def test_products_are_of_few_sizes_so_that_kernels_are_few():
    cut = Tiles(layout([(700, [])]), heads=4, key_heads=2, block=64)
    assert cut.most == 16  # 16 pairs of 4 heads and 64·64 scores are 2¹⁸ scores
    # 11 blocks: 55 pairs below the diagonal; what does not fill a product is a multiple of 4, and up to 3
    assert [pairs.queries.shape[0] for pairs in cut.below] == [16, 16, 16, 4, 3]
    assert [own.stop - own.start for own in cut.diagonal] == [8, 3]


def test_only_products_with_keys_that_fill_a_block_up_are_masked():
    # the prompt's second block has one token; four blocks of branches see both of the prompt's
    cut = Tiles(layout([(65, [64, 64, 64, 64])]), heads=64, key_heads=8, block=64)
    assert cut.most == 1
    assert [pairs.real is None for pairs in cut.below] == [True] * 5 + [False] * 4
    assert all(int(pairs.real.sum()) == 1 for pairs in cut.below if pairs.real is not None)


def test_segments_are_the_stretches_that_are_causal_in_themselves():
    (lone,), (two,), (none,) = layout([(4, [3])]), layout([(4, [3, 0, 5])]), layout([(0, [3, 5])])
    assert segments(lone) == (None, [(0, 7)])
    assert segments(two) == ((0, 4), [(4, 7), (7, 12)])
    assert segments(none) == (None, [(0, 3), (3, 8)])
