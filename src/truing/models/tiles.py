"""Tree attention in tiles of one size, many to a product: float32 on a CPU whose fast products are oneDNN's.

ATen's flash kernel multiplies one head of one segment at a time, in blocks that shrink with the segment, by MKL. Here
the segments of a whole micro-batch (prompts and branches, `attention.py`) are cut into blocks of 64 or 32 tokens, the
last of each filled up, and attention is a list of pairs of blocks: a block with itself, under the causal triangle, and
with all blocks before it that it sees, its own segment's and its prompt's. A batched product takes 2¹⁸ scores, sixteen
pairs of four heads, so that shapes are few (oneDNN compiles a kernel for every shape) and large; the sharing of prompts
costs nothing but its pairs.

The forward pass keeps running maxima and sums per query (FlashAttention, arXiv:2205.14135) and returns output and
log-sum-exp as the flash kernel does. The backward pass makes the probabilities again from the log-sum-exp: no pair
needs to know of another. Powers are of 2: PyTorch's `exp2` takes a quarter of the time of its `exp`.

Shapes: B blocks of b tokens, H = key heads, G = query heads per key head, R = G·b rows, n pairs in one product,
d = head width.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

import torch
from torch import Tensor

from truing.tree import Span

__all__ = ["Tiles", "backward", "forward", "num_pairs", "segments"]

_LOG2_E = 1 / math.log(2)
# scores of one product: 1 MB, so that two of them and their factors stay in the caches
_SCORES = 1 << 18


def segments(span: Span) -> tuple[tuple[int, int] | None, list[tuple[int, int]]]:
    """The prompt that branches share, if any, and the stretches (start, end) that are causal in themselves."""
    (start, prompt_end), branches = span.prompt, [b for b in span.branches if b[1] > b[0]]
    if len(branches) < 2:  # a lone branch goes on from its prompt
        return None, [(start, span.end)] if span.end > start else []
    if prompt_end == start:
        return None, branches
    return span.prompt, branches


def num_pairs(layout: Sequence[Span], block: int) -> tuple[int, int]:
    """Pairs of tokens that attention needs, and those that tiles of `block` tokens compute."""
    needed = blocks = 0
    for span in layout:
        prompt, causal = segments(span)
        width = 0 if prompt is None else prompt[1] - prompt[0]
        for size in (width, *(end - start for start, end in causal)):
            many = -(-size // block)
            needed += size * (size + 1) // 2
            blocks += many * (many + 1) // 2
        rows = [end - start for start, end in causal]
        needed += width * sum(rows)
        blocks += -(-width // block) * sum(-(-size // block) for size in rows)
    return needed, blocks * block * block


@dataclass(frozen=True, slots=True)
class _Pairs:
    """n pairs of blocks for one product, in the order of their queries' blocks."""

    queries: Tensor  # [n]
    keys: Tensor  # [n]
    real: Tensor | None
    """[n, 1, 1, b]: which keys are tokens; None if all are."""
    touched: Tensor
    """The queries' blocks without repetition, [m]."""
    of_touched: Tensor
    """The pairs of each of them, [m, most]; where they are fewer, one is repeated."""


class Tiles:
    """How one micro-batch is cut, for one number of heads, and where it is computed; made once for all layers."""

    def __init__(self, layout: Sequence[Span], heads: int, key_heads: int, block: int) -> None:
        self.heads, self.key_heads, self.block = heads, key_heads, block
        blocks, pairs = _cut(layout, block)
        self.num_blocks, self.num_tokens = len(blocks), layout[-1].end
        starts, ends = torch.tensor(blocks).t().unsqueeze(-1)
        # filled up with the segment's last token: its scores are as finite as any
        within = torch.arange(block)
        tokens = torch.minimum(starts + within, ends - 1)
        real = starts + within < ends
        self.rows, self.key_rows = _rows(tokens, heads), _rows(tokens, key_heads)
        self.filling = (~real).unsqueeze(1).expand(-1, heads, -1).flatten().nonzero().squeeze(-1)
        place = torch.empty(self.num_tokens, dtype=torch.long)
        place[tokens[real]] = torch.arange(self.num_blocks * block).view(-1, block)[real]
        self.back, self.key_back = _back(place, heads, block), _back(place, key_heads, block)
        many = max(1, _SCORES // (heads * block * block))
        self.most = 1 << (many.bit_length() - 1)
        self.diagonal = [slice(a, b) for a, b in _portions(self.num_blocks, self.most)]
        # those with keys that are no tokens come last, and are few
        pairs.sort(key=lambda pair: blocks[pair[1]][1] - blocks[pair[1]][0] < block)
        self.below = [_pairs(sorted(pairs[a:b]), real) for a, b in _portions(len(pairs), self.most)]
        self._rooms: dict[tuple[str, tuple[int, ...]], Tensor] = {}

    def room(self, name: str, *shape: int) -> Tensor:
        """A tensor to write into, the same for all layers: pages that are new to the process cost a quarter more."""
        if (name, shape) not in self._rooms:
            self._rooms[name, shape] = torch.empty(shape, dtype=torch.float32, device="cpu")
        return self._rooms[name, shape]


def _cut(layout: Sequence[Span], block: int) -> tuple[list[tuple[int, int]], list[tuple[int, int]]]:
    """Blocks as (start, end), and the pairs (queries' block, keys' block) that are not a block with itself."""
    blocks: list[tuple[int, int]] = []
    pairs: list[tuple[int, int]] = []

    def add(start: int, end: int, before: list[int]) -> list[int]:
        own = list(range(len(blocks), len(blocks) + -(-(end - start) // block)))
        blocks.extend((a, min(a + block, end)) for a in range(start, end, block))
        pairs.extend((i, j) for place, i in enumerate(own) for j in (*before, *own[:place]))
        return own

    for span in layout:
        prompt, causal = segments(span)
        shared = [] if prompt is None else add(*prompt, [])
        for start, end in causal:
            add(start, end, shared)
    return blocks, pairs


def _portions(size: int, most: int) -> list[tuple[int, int]]:
    """[0, size) in portions of `most`, the rest in two at most: few sizes, since a kernel is made for each."""
    portions, start = [], 0
    while start < size:
        left = size - start
        many = most if left >= most else left - left % 4 or left
        portions.append((start, start + many))
        start += many
    return portions


def _pairs(pairs: list[tuple[int, int]], real: Tensor) -> _Pairs:
    queries, keys = (torch.tensor(column) for column in zip(*pairs, strict=True))
    runs = [[n for n, _ in run] for _, run in groupby(enumerate(pairs), key=lambda pair: pair[1][0])]
    most = max(map(len, runs))
    tokens = real[keys]
    return _Pairs(
        queries,
        keys,
        None if tokens.all() else tokens.unsqueeze(1).unsqueeze(1),
        torch.tensor([pairs[run[0]][0] for run in runs]),
        torch.tensor([run + run[:1] * (most - len(run)) for run in runs]),
    )


def _rows(tokens: Tensor, heads: int) -> Tensor:
    """Rows of [T, heads] in the order of [B, heads, b]."""
    return (tokens.unsqueeze(1) * heads + torch.arange(heads).view(-1, 1)).flatten()


def _back(place: Tensor, heads: int, block: int) -> Tensor:
    """Rows of [B, heads, b] in the order of [T, heads]; `place` [T]: where in [B, b] a token is."""
    return (
        ((place // block).unsqueeze(1) * heads + torch.arange(heads))
        .mul_(block)
        .add_((place % block).unsqueeze(1))
        .flatten()
    )


class _Blocks:
    """Query, key and value in blocks, the query scaled for powers of 2."""

    def __init__(self, tiles: Tiles, query: Tensor, key: Tensor, value: Tensor, scale: float) -> None:
        self.tiles, self.width = tiles, query.shape[-1]
        self.num_rows = tiles.heads // tiles.key_heads * tiles.block
        self.query = self.by_query("query", _token_rows(query)).mul_(scale * _LOG2_E)
        self.key, self.value = self.by_key("key", _token_rows(key)), self.by_key("value", _token_rows(value))
        self.scores = self.room("scores", self.num_rows, tiles.block)

    def by_query(self, name: str, rows: Tensor) -> Tensor:
        """[T·heads, x] -> [B, H, R, x]."""
        return self._by_block(name, rows, self.tiles.rows, self.num_rows)

    def by_key(self, name: str, rows: Tensor) -> Tensor:
        """[T·H, d] -> [B, H, b, d]."""
        return self._by_block(name, rows, self.tiles.key_rows, self.tiles.block)

    def _by_block(self, name: str, rows: Tensor, order: Tensor, num_rows: int) -> Tensor:
        blocks = self.tiles.room(name, self.tiles.num_blocks, self.tiles.key_heads, num_rows, rows.shape[-1])
        torch.index_select(rows, 0, order, out=blocks.view(-1, rows.shape[-1]))
        return blocks

    def room(self, name: str, *shape: int) -> Tensor:
        """For one product's pairs."""
        return self.tiles.room("pairs " + name, self.tiles.most, self.tiles.key_heads, *shape)


def _token_rows(tensor: Tensor) -> Tensor:
    """[1, heads, T, d] -> [T·heads, d]; a view of what projections and rotary embedding make."""
    return tensor[0].transpose(0, 1).reshape(-1, tensor.shape[-1])


def _take(blocks: Tensor, places: Tensor, room: Tensor) -> Tensor:
    return torch.index_select(blocks, 0, places, out=room[: places.shape[0]])


def _product(left: Tensor, right: Tensor, out: Tensor) -> Tensor:
    """The batched product of [n, H, ., .] into `out`."""
    torch.bmm(left.flatten(0, 1), right.flatten(0, 1), out=out.flatten(0, 1))
    return out


def forward(tiles: Tiles, query: Tensor, key: Tensor, value: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    """query [1, heads, T, d], key and value [1, H, T, d] -> output [1, T, heads, d], log-sum-exp [heads, T]."""
    blocks = _Blocks(tiles, query, key, value, scale)
    width, rows = blocks.width, blocks.num_rows
    out = tiles.room("out", *blocks.query.shape)
    top, total = (tiles.room(name, tiles.num_blocks, tiles.key_heads, rows, 1) for name in ("top", "total"))
    future = query.new_full((tiles.block, tiles.block), -math.inf).triu(1)
    for own in tiles.diagonal:
        scores = blocks.scores[: own.stop - own.start]
        _product(blocks.query[own], blocks.key[own].transpose(-1, -2), scores)
        scores.unflatten(2, (-1, tiles.block)).add_(future)  # type: ignore[no-untyped-call]
        torch.amax(scores, -1, keepdim=True, out=top[own])
        scores.sub_(top[own]).exp2_()
        torch.sum(scores, -1, keepdim=True, out=total[own])
        _product(scores, blocks.value[own], out[own])
    q, o, k = blocks.room("query", rows, width), blocks.room("out", rows, width), blocks.room("key", tiles.block, width)
    for pairs in tiles.below:
        i, j = pairs.queries, pairs.keys
        scores = blocks.scores[: i.shape[0]]
        _product(_take(blocks.query, i, q), _take(blocks.key, j, k).transpose(-1, -2), scores)
        if pairs.real is not None:
            scores.masked_fill_(~pairs.real, -math.inf)
        highest = scores.amax(-1, keepdim=True)[pairs.of_touched].amax(1)
        near = slice(int(pairs.touched[0]), int(pairs.touched[-1]) + 1)
        shrink = top[near].clone()
        top.index_copy_(0, pairs.touched, torch.maximum(top[pairs.touched], highest))
        shrink.sub_(top[near]).exp2_()
        total[near] *= shrink
        out[near] *= shrink
        scores.sub_(top[i]).exp2_()
        total.index_add_(0, i, scores.sum(-1, keepdim=True))
        out.index_add_(0, i, _product(scores, _take(blocks.value, j, k), o[: i.shape[0]]))
    out.div_(total)
    lse = total.log2_().add_(top).div_(_LOG2_E).flatten()[tiles.back].view(tiles.num_tokens, -1).t()
    return out.view(-1, width).index_select(0, tiles.back).view(1, -1, tiles.heads, width), lse


def backward(
    tiles: Tiles, query: Tensor, key: Tensor, value: Tensor, out: Tensor, lse: Tensor, grad: Tensor, scale: float
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of query, key and value, shaped as they are, from that of `out` [1, T, heads, d]."""
    blocks = _Blocks(tiles, query, key, value, scale)
    width, rows = blocks.width, blocks.num_rows
    grad = grad.reshape(-1, width)
    into = blocks.by_query("grad", grad)
    # what fills a block up has no gradient: then it gives none to keys and values
    into.view(-1, width).index_fill_(0, tiles.filling, 0.0)
    delta = blocks.by_query("delta", (grad * out.reshape(-1, width)).sum(-1, keepdim=True))
    delta.view(-1).index_fill_(0, tiles.filling, 0.0)
    log_sums = blocks.by_query("log sums", lse.t().reshape(-1, 1) * _LOG2_E)
    # forward has no use for its output in blocks any more
    dq = tiles.room("out", *blocks.query.shape)
    dk, dv = (tiles.room(name, *blocks.key.shape) for name in ("key grad", "value grad"))
    slopes = blocks.room("slopes", rows, tiles.block)
    for own in tiles.diagonal:
        n = own.stop - own.start
        q, k, v, g = blocks.query[own], blocks.key[own], blocks.value[own], into[own]
        share = _product(q, k.transpose(-1, -2), blocks.scores[:n]).sub_(log_sums[own]).exp2_()
        share.unflatten(2, (-1, tiles.block)).tril_()  # type: ignore[no-untyped-call]
        _product(share.transpose(-1, -2), g, dv[own])
        slope = _product(g, v.transpose(-1, -2), slopes[:n]).sub_(delta[own]).mul_(share)
        _product(slope, k, dq[own])
        _product(slope.transpose(-1, -2), q, dk[own])
    q_room, g_room, dq_room = (blocks.room(name, rows, width) for name in ("query", "grad", "out"))
    k_room, v_room, dk_room = (blocks.room(name, tiles.block, width) for name in ("key", "value", "key grad"))
    for pairs in tiles.below:
        i, j, n = pairs.queries, pairs.keys, pairs.queries.shape[0]
        q, g = _take(blocks.query, i, q_room), _take(into, i, g_room)
        k, v = _take(blocks.key, j, k_room), _take(blocks.value, j, v_room)
        share = _product(q, k.transpose(-1, -2), blocks.scores[:n]).sub_(log_sums[i]).exp2_()
        if pairs.real is not None:
            share.masked_fill_(~pairs.real, 0.0)
        dv.index_add_(0, j, _product(share.transpose(-1, -2), g, dk_room[:n]))
        slope = _product(g, v.transpose(-1, -2), slopes[:n]).sub_(delta[i]).mul_(share)
        dq.index_add_(0, i, _product(slope, k, dq_room[:n]))
        dk.index_add_(0, j, _product(slope.transpose(-1, -2), q, dk_room[:n]))
    return (
        _by_token(dq, tiles.back).mul_(scale).view(1, -1, tiles.heads, width).transpose(1, 2),
        _by_token(dk, tiles.key_back).div_(_LOG2_E).view(1, -1, tiles.key_heads, width).transpose(1, 2),
        _by_token(dv, tiles.key_back).view(1, -1, tiles.key_heads, width).transpose(1, 2),
    )


def _by_token(blocks: Tensor, back: Tensor) -> Tensor:
    return blocks.view(-1, blocks.shape[-1]).index_select(0, back)
