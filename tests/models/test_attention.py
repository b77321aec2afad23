from __future__ import annotations

from collections.abc import Callable
from types import SimpleNamespace
from typing import Any

import pytest
import torch
from torch import Tensor, nn

from truing.models import attention
from truing.models.attention import TreeMask, Unshareable, tree_attention, tree_layout, visible
from truing.tree import Branch, Packed, Span, Tree, pack

LAYOUTS = {
    "one branch": [(4, [3])],
    "two branches": [(4, [3, 5])],
    "five ragged branches, one empty": [(4, [3, 1, 0, 6, 2])],
    "only a prompt": [(4, [])],
    "no prompt": [(0, [3, 2])],
    "several trees": [(4, [3, 5]), (0, [2]), (1, [1, 1]), (6, [2])],
}


def layout(shapes: list[tuple[int, list[int]]]) -> tuple[Span, ...]:
    return packed(shapes).layout


def packed(shapes: list[tuple[int, list[int]]]) -> Packed:
    return pack([Tree([1] * p, [Branch([1] * size, [True] * size) for size in sizes]) for p, sizes in shapes])


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


def heads(size: int, *, queries: int = 4, keys: int = 2, width: int = 8, dtype: torch.dtype = torch.float32):
    draw = torch.Generator().manual_seed(0)
    shapes = ((1, queries, size, width), (1, keys, size, width), (1, keys, size, width))
    return [torch.randn(s, generator=draw, dtype=torch.float64).to(dtype).requires_grad_() for s in shapes]


def plain(query: Tensor, key: Tensor, value: Tensor, allowed: Tensor, scale: float) -> Tensor:
    """Softmax attention with a dense mask, [1, T, heads, d]."""
    key, value = (t.repeat_interleave(query.shape[1] // t.shape[1], 1) for t in (key, value))
    scores = (query @ key.transpose(-1, -2) * scale).masked_fill(~allowed, float("-inf"))
    return (scores.softmax(-1) @ value).transpose(1, 2)


@pytest.mark.parametrize("width", [8, 16])  # ATen's kernel, and compiled loops
@pytest.mark.parametrize("keys", [4, 2, 1])
@pytest.mark.parametrize("name", LAYOUTS)
def test_output_and_gradients_are_those_of_a_dense_mask(name: str, keys: int, width: int):
    spans = layout(LAYOUTS[name])
    ours, theirs = (heads(spans[-1].end, keys=keys, width=width) for _ in range(2))
    out, _ = tree_attention(nn.Module(), *ours, TreeMask(spans), scaling=0.3)
    expected = plain(*theirs, dense(spans), 0.3)
    torch.testing.assert_close(out, expected, atol=1e-6, rtol=1e-5)
    weight = torch.randn(out.shape, generator=torch.Generator().manual_seed(1))
    (out * weight).sum().backward()
    (expected * weight).sum().backward()
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a.grad, b.grad, atol=1e-5, rtol=1e-5)


def test_long_trees_cross_the_kernels_blocks_unharmed():
    spans = layout([(700, [300, 900])])
    ours, theirs = (heads(1900, queries=2, keys=1) for _ in range(2))
    out, _ = tree_attention(nn.Module(), *ours, TreeMask(spans))
    expected = plain(*theirs, dense(spans), 8**-0.5)
    torch.testing.assert_close(out, expected, atol=1e-5, rtol=1e-5)
    out.square().sum().backward()
    expected.square().sum().backward()
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a.grad, b.grad, atol=1e-4, rtol=1e-4)


class Counted:
    """How often attention went by compiled loops."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.forward = self.backward = 0
        for name in ("forward", "backward"):
            monkeypatch.setattr(attention.segments, name, self._counting(name, getattr(attention.segments, name)))

    def _counting(self, name: str, function: Callable[..., Any]) -> Callable[..., Any]:
        def counting(*args: Any) -> Any:
            setattr(self, name, getattr(self, name) + 1)
            return function(*args)

        return counting


WIDE = [(100, [70, 90]), (30, [200])]


@pytest.mark.parametrize(("width", "times"), [(16, 1), (64, 1), (8, 0), (24, 0)])
def test_float32_goes_by_compiled_loops_where_heads_are_whole_vectors(
    monkeypatch: pytest.MonkeyPatch, width: int, times: int
):
    counted = Counted(monkeypatch)
    spans = layout(WIDE)
    ours, theirs = (heads(spans[-1].end, width=width) for _ in range(2))
    out, _ = tree_attention(nn.Module(), *ours, TreeMask(spans), scaling=0.3)
    expected = plain(*theirs, dense(spans), 0.3)
    torch.testing.assert_close(out, expected, atol=1e-5, rtol=1e-5)
    out.square().sum().backward()
    expected.square().sum().backward()
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a.grad, b.grad, atol=1e-4, rtol=1e-4)
    assert (counted.forward, counted.backward) == (times, times)


@pytest.mark.parametrize("dtype", [torch.float64, torch.bfloat16])
def test_other_types_never_go_by_compiled_loops(monkeypatch: pytest.MonkeyPatch, dtype: torch.dtype):
    counted = Counted(monkeypatch)
    spans = layout(WIDE)
    out, _ = tree_attention(nn.Module(), *heads(spans[-1].end, width=16, dtype=dtype), TreeMask(spans))
    out.sum().backward()
    assert out.dtype == dtype
    assert counted.forward == counted.backward == 0


def test_autocast_to_bfloat16_never_goes_by_compiled_loops(monkeypatch: pytest.MonkeyPatch):
    counted = Counted(monkeypatch)
    spans = layout(WIDE)
    with torch.autocast("cpu", torch.bfloat16):
        tree_attention(nn.Module(), *heads(spans[-1].end, width=16), TreeMask(spans))
    assert counted.forward == 0


def test_the_layout_is_made_ready_once_for_all_layers():
    mask = TreeMask(layout(WIDE))
    assert mask.segments() is mask.segments()


def test_gradients_pass_gradcheck_in_double_precision():
    spans = layout([(3, [2, 1, 2])])
    inputs = heads(8, queries=2, keys=1, width=4, dtype=torch.float64)
    mask = TreeMask(spans)
    assert torch.autograd.gradcheck(lambda q, k, v: tree_attention(nn.Module(), q, k, v, mask)[0], inputs)


def test_bfloat16_is_as_near_to_the_truth_as_one_rounded_product():
    spans = layout([(20, [9, 14])])
    query, key, value = heads(43, dtype=torch.bfloat16)
    out, _ = tree_attention(nn.Module(), query, key, value, TreeMask(spans))
    truth = plain(query.float(), key.float(), value.float(), dense(spans), 8**-0.5)
    assert out.dtype == torch.bfloat16
    assert (out.float() - truth).abs().max() < 0.02
    out.float().sum().backward()
    assert query.grad is not None
    assert query.grad.dtype == torch.bfloat16


def test_autocast_lowers_mixed_inputs_to_one_type():
    spans = layout([(4, [3, 2])])
    query, key, value = heads(9)
    with torch.autocast("cpu", torch.bfloat16):
        out, _ = tree_attention(nn.Module(), query, key, value.bfloat16(), TreeMask(spans))
    assert out.dtype == torch.bfloat16


@pytest.mark.parametrize("name", LAYOUTS)
def test_the_mask_of_flex_attention_is_the_dense_mask(name: str):
    from torch.nn.attention.flex_attention import create_mask

    spans = layout(LAYOUTS[name])
    size = spans[-1].end
    made = create_mask(visible(spans, "cpu"), None, None, size, size, device="cpu")
    assert torch.equal(made[0, 0], dense(spans))


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a CUDA device")
def test_flex_attention_computes_the_same_on_cuda():
    spans = layout([(40, [30, 50]), (10, [20])])
    ours, theirs = heads(150, width=16), heads(150, width=16)
    out, _ = tree_attention(nn.Module(), *(t.cuda() for t in ours), TreeMask(spans))
    expected = plain(*theirs, dense(spans), 16**-0.5)
    torch.testing.assert_close(out.cpu(), expected, atol=1e-3, rtol=1e-3)
    out.square().sum().backward()
    expected.square().sum().backward()
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a.grad, b.grad, atol=1e-2, rtol=1e-2)


@pytest.mark.parametrize(
    ("options", "why"),
    [
        ({"softcap": 50.0}, "soft-capped"),
        ({"s_aux": torch.zeros(4)}, "sinks"),
        ({"position_bias": torch.zeros(1, 4, 7, 7)}, "position bias"),
    ],
)
def test_what_the_decomposition_cannot_do_is_refused(options: dict[str, object], why: str):
    with pytest.raises(Unshareable, match=why):
        tree_attention(nn.Module(), *heads(7), TreeMask(layout([(4, [3])])), **options)


def test_keys_and_values_of_different_sizes_are_refused():
    query, key, value = heads(7)
    with pytest.raises(Unshareable, match="different sizes"):
        tree_attention(nn.Module(), query, key, value[..., :4], TreeMask(layout([(4, [3])])))


def test_a_window_shorter_than_prompt_and_response_is_refused_and_a_longer_one_is_not(toy: SimpleNamespace):
    model = toy.model("mistral", sliding_window=6)
    model.set_attn_implementation("truing_tree")
    for shape, fits in ((3, [3, 2]), True), ((4, [3, 2]), False):
        row = packed([shape])
        arguments = {"input_ids": row.token_ids[None], "position_ids": row.position_ids[None], "use_cache": False}
        with tree_layout(row.layout):
            if fits:
                model.model(**arguments)
            else:
                with pytest.raises(Unshareable, match=r"a window of 6 tokens .*\(7 tokens\)"):
                    model.model(**arguments)


def test_without_a_layout_the_implementation_is_sdpa(toy: SimpleNamespace):
    model = toy.model("llama").eval()
    token_ids = torch.arange(3, 15).view(2, 6)
    mask = torch.ones_like(token_ids)
    mask[1, :2] = 0  # left padding, as in generation
    expected = model(token_ids, attention_mask=mask).logits
    model.set_attn_implementation("truing_tree")
    torch.testing.assert_close(model(token_ids, attention_mask=mask).logits, expected)
    expected_tokens = model.generate(token_ids[:1], max_new_tokens=5, do_sample=False)
    model.set_attn_implementation("sdpa")
    assert torch.equal(model.generate(token_ids[:1], max_new_tokens=5, do_sample=False), expected_tokens)
