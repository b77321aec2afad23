from __future__ import annotations

import math

import pytest
import torch
from torch import Tensor

from truing.models.segments import Segments, backward, fitting, forward, segments
from truing.tree import Branch, Span, Tree, pack

# prompts and branches around the sizes of blocks (24 queries), columns (16) and vectors of columns (64)
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
    "blocks of queries, and one more and one less": [(24, [48]), (25, [23]), (47, [1]), (0, [24]), (48, [24, 25])],
    "long": [(200, [150, 140, 130, 120, 110])],
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


def ours(inputs: list[Tensor], spans: tuple[Span, ...], scale: float) -> list[Tensor]:
    query, key, value, grad = inputs
    cut = Segments(spans)
    assert fitting(query, key, value, scale)
    out, lse = forward(cut, query, key, value, scale)
    return [out, lse.t(), *backward(cut, query, key, value, out, lse, grad, scale)]


# one vector, several that are not a whole piece of a product, a piece, and two
@pytest.mark.parametrize("width", [16, 48, 64, 128])
@pytest.mark.parametrize("keys", [4, 2, 1])
@pytest.mark.parametrize("name", LAYOUTS)
def test_outputs_sums_and_gradients_are_those_of_a_dense_mask(name: str, keys: int, width: int):
    spans = layout(LAYOUTS[name])
    inputs = heads(spans[-1].end, 4, keys, width)
    for found, expected in zip(ours(inputs, spans, 0.3), truth(inputs, dense(spans), 0.3), strict=True):
        assert found.shape == expected.shape
        torch.testing.assert_close(found, expected, atol=4e-5, rtol=2e-5)


@pytest.mark.parametrize("sign", [1.0, -1.0])
def test_scores_beyond_the_range_of_float32s_powers_stay_finite(sign: float):
    # every score is about ±900: e to that power is infinite or zero, and what fills a row up must not count as 0
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


def test_what_was_in_memory_before_does_not_matter():
    spans = layout(LAYOUTS["several trees"])
    inputs = heads(spans[-1].end, 4, 2)
    first = ours(inputs, spans, 0.25)
    ours([tensor * math.nan for tensor in inputs], spans, 0.25)  # fills the memory that is used next with NaN
    for found, before in zip(ours(inputs, spans, 0.25), first, strict=True):
        assert torch.equal(found, before)


def test_a_query_that_is_not_a_number_spoils_its_own_output_and_no_other():
    spans = layout([(30, [20, 5])])
    query, key, value, _ = heads(55, 2, 1)
    expected, sums = forward(Segments(spans), query, key, value, 0.25)
    query = query.clone()
    query[0, 1, 40, 3] = math.nan
    out, lse = forward(Segments(spans), query, key, value, 0.25)
    assert out[0, 40, 1].isnan().all()
    assert lse[40, 1].isnan()
    out[0, 40, 1], lse[40, 1] = expected[0, 40, 1], sums[40, 1]
    assert torch.equal(out, expected)
    assert torch.equal(lse, sums)


def test_the_number_of_threads_changes_nothing():
    spans = layout(LAYOUTS["several trees"])
    inputs = heads(spans[-1].end, 4, 2)
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    alone = ours(inputs, spans, 0.3)
    torch.set_num_threads(3)
    try:
        together = ours(inputs, spans, 0.3)
    finally:
        torch.set_num_threads(before)
    for once, again in zip(alone, together, strict=True):
        assert torch.equal(once, again)


def test_tensors_of_any_strides_are_read():
    spans = layout([(70, [20, 30])])
    inputs = heads(120, 4, 2)
    rearranged = [tensor.contiguous() for tensor in inputs]
    rearranged[3] = inputs[3].transpose(1, 2).contiguous().transpose(1, 2)
    for found, expected in zip(ours(rearranged, spans, 0.3), ours(inputs, spans, 0.3), strict=True):
        assert torch.equal(found, expected)


def test_only_float32_on_a_cpu_in_whole_vectors_with_a_positive_scale_is_for_the_kernels():
    query, key, value = (tensor[:, :, :3] for tensor in heads(3, 2, 1)[:3])
    assert fitting(query, key, value, 0.5)
    assert not fitting(query.double(), key, value, 0.5)
    assert not fitting(query, key, value[..., :8], 0.5)
    assert not fitting(query[..., :8], key[..., :8], value[..., :8], 0.5)
    assert not fitting(query, key, value, -0.5)
    assert not fitting(query.to("meta"), key, value, 0.5)


def test_segments_say_where_trees_begin_and_how_long_the_prompts_are_that_they_see():
    cut = Segments(layout([(4, [3, 0, 5]), (0, []), (4, [3])]))
    assert cut.trees.tolist() == [0, 3, 4]
    assert cut.segments.tolist() == [[0, 4, 0], [4, 7, 4], [7, 12, 4], [12, 19, 0]]


def test_segments_are_the_stretches_that_are_causal_in_themselves():
    (lone,), (two,), (none,) = layout([(4, [3])]), layout([(4, [3, 0, 5])]), layout([(0, [3, 5])])
    assert segments(lone) == (None, [(0, 7)])
    assert segments(two) == ((0, 4), [(4, 7), (7, 12)])
    assert segments(none) == (None, [(0, 3), (3, 8)])
