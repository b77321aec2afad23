"""Attention over token trees, plugged into transformers' AttentionInterface: any causal LM, no dense mask.

In a tree a token sees the tokens before it in its own branch and the whole prompt; it sees neither the other branches
nor the other trees of the packed row (`tree.py`). Written out per tree:

    prompt                   causal
    each branch              causal, to itself
    all branches at once     to the prompt, all of it

(a lone branch simply goes on from its prompt). The last two are merged by their log-sum-exps: with outputs a, b and
log-sum-exps l, m of two disjoint sets of keys, attention to both is a + σ(m − l)·(b − a), its log-sum-exp
log(eˡ + eᵐ). ATen's flash kernels give out the log-sum-exp, and their backward takes any (output, log-sum-exp) that
belongs to the query, so each part's gradient is exact when it is given the merged pair. On CUDA the same pattern is
one FlexAttention block mask; in float32 on a CPU it is one compiled loop over queries (`segments.py`).

How the layout reaches the attention of every layer: as the attention mask. Every model makes its mask through
transformers' mask interface, once, and hands it down to all layers, through activation checkpointing too, which
replays the call with the same arguments. Ours is a `TreeMask`, made from the layout that `tree_layout` holds open
during the forward pass; with none open, everything behaves as `sdpa` does.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable
from transformers import AttentionInterface, AttentionMaskInterface
from transformers.integrations.flex_attention import flex_attention_forward
from transformers.integrations.sdpa_attention import sdpa_attention_forward
from transformers.masking_utils import sdpa_mask

from truing.models import segments
from truing.tree import Span

__all__ = ["NAME", "TreeMask", "Unshareable", "tree_attention", "tree_layout", "visible"]

NAME = "truing_tree"
"""What `config._attn_implementation` is set to."""

_flash = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu
_flash_backward = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu_backward


class Unshareable(Exception):
    """This attention cannot run on trees; the padded path can. Says why, in a few words."""


class TreeMask:
    """What our attention gets where others get a mask tensor: the layout of the packed row."""

    def __init__(self, layout: Sequence[Span]) -> None:
        self.layout = tuple(layout)
        self.num_tokens = self.layout[-1].end if self.layout else 0
        self.longest = max((_longest(span) for span in self.layout), default=0)
        self._block_mask: Any = None
        self._segments: segments.Segments | None = None

    def segments(self) -> segments.Segments:
        """The layout for the compiled kernels, made once for all layers."""
        if self._segments is None:
            self._segments = segments.Segments(self.layout)
        return self._segments

    def block_mask(self, device: torch.device) -> Any:
        """The same as a FlexAttention `BlockMask`, made once for all layers."""
        if self._block_mask is None:
            from torch.nn.attention.flex_attention import create_block_mask

            size = self.num_tokens
            # compiled, it makes the blocks without a [T, T] mask in between
            self._block_mask = create_block_mask(
                visible(self.layout, device), None, None, size, size, str(device), _compile=device.type == "cuda"
            )
        return self._block_mask


def _longest(span: Span) -> int:
    start, end = span.prompt
    return end - start + max((b - a for a, b in span.branches), default=0)


def visible(layout: Sequence[Span], device: torch.device | str) -> Any:
    """FlexAttention's mask function: may query q see key k? Same tree, not later, in the prompt or the same branch."""
    size = layout[-1].end if layout else 0
    tree, branch = [0] * size, [-1] * size
    for number, span in enumerate(layout):
        tree[span.prompt[0] : span.end] = [number] * (span.end - span.prompt[0])
        for place, (start, end) in enumerate(span.branches):
            branch[start:end] = [place] * (end - start)
    trees, branches = torch.tensor(tree, device=device), torch.tensor(branch, device=device)

    def mask(batch: Tensor, head: Tensor, q: Tensor, k: Tensor) -> Tensor:
        return (trees[q] == trees[k]) & (k <= q) & ((branches[k] == -1) | (branches[k] == branches[q]))

    return mask


_active: ContextVar[TreeMask | None] = ContextVar("truing_tree_mask", default=None)


@contextmanager
def tree_layout(layout: Sequence[Span]) -> Iterator[None]:
    """Forward passes inside read their row as these trees, if the model's attention is set to `NAME`."""
    token = _active.set(TreeMask(layout))
    try:
        yield
    finally:
        _active.reset(token)


def _mask(*args: Any, **options: Any) -> Any:
    """The mask interface. Refuses what a tree cannot say: windows shorter than a path, masks with extra rules."""
    mask = _active.get()
    if mask is None:
        return sdpa_mask(*args, **options)
    window = options.get("local_size")
    if window is not None and mask.longest > window:
        raise Unshareable(f"a window of {window} tokens is shorter than prompt + response ({mask.longest} tokens)")
    if options.get("use_vmap"):
        raise Unshareable("its mask has rules of its own")
    if "allow_is_bidirectional_skip" in options:
        raise Unshareable("it is not causal")
    return mask


def tree_attention(
    module: torch.nn.Module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: TreeMask | Tensor | None,
    dropout: float = 0.0,
    scaling: float | None = None,
    **options: Any,
) -> tuple[Tensor, Tensor | None]:
    """The attention interface: query [1, heads, T, d], key and value [1, key heads, T, d] -> [1, T, heads, d].

    Attention dropout is off whatever the model's config says: with it, log-probabilities of one batch could not be
    compared with the reference's or the sampler's.
    """
    if not isinstance(attention_mask, TreeMask):
        plain: tuple[Tensor, Tensor | None] = sdpa_attention_forward(
            module, query, key, value, attention_mask, dropout=0.0, scaling=scaling, **options
        )
        return plain
    if options.get("position_bias") is not None:
        raise Unshareable("its attention adds a position bias")
    if query.shape[2] != attention_mask.num_tokens or key.shape[2] != attention_mask.num_tokens:
        raise Unshareable("its attention sees other tokens than those of the batch")
    scale = query.shape[-1] ** -0.5 if scaling is None else float(scaling)
    if query.device.type == "cuda":
        block_mask = attention_mask.block_mask(query.device)
        flexed: tuple[Tensor, Tensor | None] = flex_attention_forward(
            module, query, key, value, block_mask, scaling=scale, **options
        )
        return flexed[0], None
    if query.device.type != "cpu":
        raise Unshareable(f"there is no tree attention for {query.device.type} devices")
    if options.get("softcap") is not None:
        raise Unshareable("its attention scores are soft-capped")
    if options.get("s_aux") is not None:
        raise Unshareable("its attention has sinks")
    if query.shape[-1] != value.shape[-1]:
        raise Unshareable(f"its keys ({query.shape[-1]}) and values ({value.shape[-1]}) have different sizes")
    if torch.is_autocast_enabled("cpu"):
        dtype = torch.get_autocast_dtype("cpu")
        query, key, value = query.to(dtype), key.to(dtype), value.to(dtype)
    cut = attention_mask.segments() if segments.fitting(query, key, value, scale) else None
    out: Tensor = _TreeAttention.apply(query, key, value, attention_mask.layout, cut, scale)  # type: ignore[no-untyped-call]
    return out, None


AttentionInterface.register(NAME, tree_attention)
AttentionMaskInterface.register(NAME, _mask)


class _Part:
    """One call of the flash kernel: queries [q0, q1) to keys [k0, k1)."""

    __slots__ = ("causal", "keys", "queries")

    def __init__(self, queries: tuple[int, int], keys: tuple[int, int], causal: bool) -> None:
        self.queries, self.keys, self.causal = slice(*queries), slice(*keys), causal


def _parts(span: Span) -> tuple[list[_Part], _Part | None]:
    """The causal parts of a tree, and the one to be merged into the branches: theirs to the prompt."""
    shared, causal = segments.segments(span)
    parts = [_Part(each, each, True) for each in causal]
    if shared is None:
        return parts, None
    return [_Part(shared, shared, True), *parts], _Part((causal[0][0], causal[-1][1]), shared, False)


class _TreeAttention(torch.autograd.Function):
    """Heads are laid out as [key heads, group, T, d]: the group axis repeats keys by a stride of 0, not by a copy."""

    @staticmethod
    def forward(
        ctx: Any,
        query: Tensor,
        key: Tensor,
        value: Tensor,
        layout: tuple[Span, ...],
        cut: segments.Segments | None,
        scale: float,
    ) -> Tensor:
        ctx.layout, ctx.cut, ctx.scale = layout, cut, scale
        if cut is not None:
            out, lse = segments.forward(cut, query, key, value, scale)
            ctx.save_for_backward(query, key, value, out, lse)
            return out
        _, heads, size, width = query.shape
        q, k, v = _grouped(query, key, value)
        out = query.new_empty(1, size, heads, width)
        o = _by_group(out.transpose(1, 2), key)
        lse = query.new_empty(q.shape[:3], dtype=torch.promote_types(query.dtype, torch.float32))
        for span in layout:
            causal, shared = _parts(span)
            for part in causal:
                o[:, :, part.queries], lse[:, :, part.queries] = _attend(q, k, v, part, scale)
            if shared is not None:
                here, here_lse = o[:, :, shared.queries], lse[:, :, shared.queries]
                there, there_lse = _attend(q, k, v, shared, scale)
                weight = torch.sigmoid(there_lse - here_lse).unsqueeze(-1)
                # in float32 also for bf16: the difference of two rounded outputs would be rounded again
                here.copy_(torch.lerp(here.to(lse.dtype), there.to(lse.dtype), weight))
                here_lse.copy_(torch.logaddexp(here_lse, there_lse))
        ctx.save_for_backward(query, key, value, out, lse)
        return out

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_out: Tensor) -> tuple[Tensor, Tensor, Tensor, None, None, None]:
        query, key, value, out, lse = ctx.saved_tensors
        if ctx.cut is not None:
            dq, dk, dv = segments.backward(ctx.cut, query, key, value, out, lse, grad_out, ctx.scale)
            return dq, dk, dv, None, None, None
        q, k, v = _grouped(query, key, value)
        o, g = (_by_group(t.transpose(1, 2), key) for t in (out, grad_out))
        # [1, T, heads, d] in memory, as the projections that come next want it
        dq, dk, dv = (t.new_empty(1, t.shape[2], t.shape[1], t.shape[3]).transpose(1, 2) for t in (query, key, value))
        into_q = _by_group(dq, key)
        for span in ctx.layout:
            causal, shared = _parts(span)
            for part in (*causal, *((shared,) if shared is not None else ())):
                rows, columns = part.queries, part.keys
                known = (
                    g[:, :, rows],
                    q[:, :, rows],
                    k[:, :, columns],
                    v[:, :, columns],
                    o[:, :, rows],
                    lse[:, :, rows],
                )
                to_q, to_k, to_v = _flash_backward(*known, 0.0, part.causal, scale=ctx.scale)
                if part is shared:
                    into_q[:, :, rows] += to_q
                    dk[0, :, columns] += to_k.sum(1)
                    dv[0, :, columns] += to_v.sum(1)
                else:
                    into_q[:, :, rows] = to_q
                    torch.sum(to_k, 1, out=dk[0, :, columns])
                    torch.sum(to_v, 1, out=dv[0, :, columns])
        return dq, dk, dv, None, None, None


def _by_group(query: Tensor, key: Tensor) -> Tensor:
    """[1, heads, T, d] -> [key heads, group, T, d], a view."""
    heads: Tensor = query[0].unflatten(0, (key.shape[1], -1))  # type: ignore[no-untyped-call]
    return heads


def _grouped(query: Tensor, key: Tensor, value: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    q = _by_group(query, key)
    k, v = (t[0].unsqueeze(1).expand(-1, q.shape[1], -1, -1) for t in (key, value))
    return q, k, v


def _attend(q: Tensor, k: Tensor, v: Tensor, part: _Part, scale: float) -> tuple[Tensor, Tensor]:
    rows, columns = part.queries, part.keys
    out, lse = _flash(q[:, :, rows], k[:, :, columns], v[:, :, columns], 0.0, part.causal, scale=scale)
    return out, lse
