"""Tree attention in float32 on a CPU: products and softmax in one kernel, block by block of queries.

A job is one tree and one key head. Its keys and values are laid down once with tokens as columns. Then, for every
query head of that key head and every block of 24 queries: the scores of all keys that it sees, which are two stretches
of tokens (the prompt that its branch shares, and its own segment up to itself), their softmax, and the sum of values.
All of it stays in the caches; nothing is multiplied that is not seen but for the corner of the block on the diagonal.
The backward pass makes the probabilities again from the log-sum-exp (FlashAttention, arXiv:2205.14135).

Shapes: T tokens, H key heads, G query heads to a key head, d = head width. Arrays are flat, [T, G·H, d] and [T, H, d].
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from truing.models.kernels.blocks import COLUMNS, Index, add_product, turn
from truing.models.kernels.compiler import Array, U, compiled
from truing.models.kernels.exponential import exp

__all__ = ["Places", "backward", "forward"]

Places = npt.NDArray[np.uintp]
_BLOCK = 24
_LEAST = np.int32(-(1 << 31))
_ZERO, _ONE = np.float32(0), np.float32(1)


@compiled
def _padded(size: Index) -> Index:
    return (size + U(COLUMNS - 1)) // U(COLUMNS) * U(COLUMNS)


@compiled
def _stretch(size: Index) -> Index:
    return (size + U(63)) // U(64) * U(64)


@compiled
def _columns(segments: Places, first: Index, last: Index) -> Index:
    """How many columns the keys of segments [first, last) take: each begins at a multiple of `COLUMNS`."""
    columns = U(0)
    for n in range(first, last):
        columns += _padded(segments[n, 1] - segments[n, 0])
    return columns


@compiled
def _most_columns(trees: Places, segments: Places, first_tree: Index, last_tree: Index) -> Index:
    most = U(0)
    for tree in range(first_tree, last_tree):
        found = _columns(segments, trees[tree], trees[tree + U(1)])
        most = found if found > most else most
    return most


@compiled
def _turn_tree(
    x: Array,
    segments: Places,
    first: Index,
    last: Index,
    head: Index,
    heads: Index,
    width: Index,
    into: Array,
    row: Index,
) -> None:
    """One head of a tree's tokens in x [T, heads, width] as columns of `into` [width, row]; see `_columns`."""
    at = U(0)
    for n in range(first, last):
        start, size = segments[n, 0], segments[n, 1] - segments[n, 0]
        turn(x, (start * heads + head) * width, heads * width, into, at, row, size, width)
        at += _padded(size)


@compiled
def _times_columns(
    x: Array, at: Index, step: Index, rows: Index, width: Index, turned: Array, row: Index,
    prompt: Index, own_at: Index, own: Index, into: Array, line: Index,
) -> None:  # fmt: skip
    """into [rows, prompt + own] = x·columns: the prompt's, at 0 of `turned`, and the own segment's, at `own_at`.

    Up to `COLUMNS` - 1 more are written; those of the prompt are written over.
    """
    add_product(x, at, step, U(1), turned, U(0), row, into, U(0), line, rows, _padded(prompt), width, False)
    add_product(x, at, step, U(1), turned, own_at, row, into, prompt, line, rows, _padded(own), width, False)


@compiled
def _softmax_row(
    scores: Array, at: Index, seen: Index, size: Index, scale: np.float32
) -> tuple[np.float32, np.float32]:
    """Of `size` scores, a multiple of 64: e^(scale·(score − highest)) of the first `seen`, zeros for the rest.

    Also the scaled highest, and the sum of what is there then.
    """
    bits = scores.view(np.int32)
    most = _LEAST
    for j in range(U(0), size):
        # numbers in the order of integers: for float32 a maximum that respects NaN is made one after the other
        n = bits[at + j]
        n ^= (n >> np.int32(31)) & np.int32(0x7FFFFFFF)
        most = max(most, n if j < seen else _LEAST)
    most ^= (most >> np.int32(31)) & np.int32(0x7FFFFFFF)
    highest = np.int32(most).view(np.float32) * scale
    total = _ZERO
    for j in range(U(0), size):
        e = exp(scores[at + j] * scale - highest)
        e = e if j < seen else _ZERO
        scores[at + j] = e
        total += e
    return highest, total


@compiled
def _slopes_row(
    shares: Array, slopes: Array, at: Index, seen: Index, size: Index,
    scale: np.float32, log_sum: np.float32, delta: np.float32,
) -> None:  # fmt: skip
    """`size` scores become probabilities, and slopes by probabilities become slopes by products q·k, in place."""
    for j in range(U(0), size):
        share = exp(shares[at + j] * scale - log_sum)
        share = share if j < seen else _ZERO
        slope = share * (slopes[at + j] - delta) * scale
        shares[at + j] = share
        slopes[at + j] = slope if j < seen else _ZERO


@compiled
def forward(
    query: Array, key: Array, value: Array, trees: Places, segments: Places, heads: Index,
    key_heads: Index, width: Index, scale: np.float32, out: Array, lse: Array, first: Index, last: Index,
) -> None:  # fmt: skip
    """Jobs [first, last): tree · key_heads + key head. Writes `out` [T, heads, d] and log-sum-exps `lse` [T, heads].

    trees [trees + 1]: where each tree's segments begin. segments [S, 3]: start, end, and how many tokens of the tree,
    all of its first segment, are a prompt that this segment sees.
    """
    row = _most_columns(trees, segments, U(first) // key_heads, (U(last) + key_heads - U(1)) // key_heads)
    line = _stretch(row) + U(COLUMNS)
    turned = np.empty(width * row, np.float32)
    scores, totals = np.empty(U(_BLOCK) * line, np.float32), np.empty(_BLOCK, np.float32)
    group, step, key_step = heads // key_heads, heads * width, key_heads * width
    for job in range(U(first), U(last)):
        tree, head = job // key_heads, job % key_heads
        first_segment, last_segment = trees[tree], trees[tree + U(1)]
        _turn_tree(key, segments, first_segment, last_segment, head, key_heads, width, turned, row)
        shared = segments[first_segment, 0] * key_step + head * width
        column = U(0)
        for n in range(first_segment, last_segment):
            start, end, prompt = segments[n, 0], segments[n, 1], segments[n, 2]
            own_value = start * key_step + head * width
            for begin in range(start, end, U(_BLOCK)):
                rows = min(U(_BLOCK), end - begin)
                own = begin + rows - start
                for query_head in range(head * group, (head + U(1)) * group):
                    at = begin * step + query_head * width
                    _times_columns(query, at, step, rows, width, turned, row, prompt, column, own, scores, line)
                    for r in range(U(0), rows):
                        seen = prompt + own - rows + r + U(1)
                        highest, total = _softmax_row(scores, r * line, seen, _stretch(prompt + own), scale)
                        totals[r] = _ONE / total
                        lse[(begin + r) * heads + query_head] = highest + math.log(total)
                    more = prompt > U(0)
                    add_product(
                        scores, U(0), line, U(1), value, shared, key_step, out, at, step, rows, width, prompt, False
                    )
                    add_product(
                        scores, prompt, line, U(1), value, own_value, key_step, out, at, step, rows, width, own, more
                    )
                    for r in range(U(0), rows):
                        part = totals[r]
                        for i in range(at + r * step, at + r * step + width):
                            out[i] *= part
            column += _padded(end - start)


@compiled
def backward(
    query: Array, key: Array, value: Array, out: Array, lse: Array, grad: Array, trees: Places, segments: Places,
    heads: Index, key_heads: Index, width: Index, scale: np.float32, dq: Array, dk: Array, dv: Array,
    first: Index, last: Index,
) -> None:  # fmt: skip
    """Jobs as in `forward`. Writes dq [T, heads, d]; dk and dv [T, H, d] must be zeros."""
    row = _most_columns(trees, segments, U(first) // key_heads, (U(last) + key_heads - U(1)) // key_heads)
    line = _stretch(row) + U(COLUMNS)
    keys, values = np.empty(width * row, np.float32), np.empty(width * row, np.float32)
    shares, slopes = np.empty(U(_BLOCK) * line, np.float32), np.empty(U(_BLOCK) * line, np.float32)
    group, step, key_step = heads // key_heads, heads * width, key_heads * width
    for job in range(U(first), U(last)):
        tree, head = job // key_heads, job % key_heads
        first_segment, last_segment = trees[tree], trees[tree + U(1)]
        _turn_tree(key, segments, first_segment, last_segment, head, key_heads, width, keys, row)
        _turn_tree(value, segments, first_segment, last_segment, head, key_heads, width, values, row)
        shared = segments[first_segment, 0] * key_step + head * width
        column = U(0)
        for n in range(first_segment, last_segment):
            start, end, prompt = segments[n, 0], segments[n, 1], segments[n, 2]
            own_key = start * key_step + head * width
            for begin in range(start, end, U(_BLOCK)):
                rows = min(U(_BLOCK), end - begin)
                own = begin + rows - start
                for query_head in range(head * group, (head + U(1)) * group):
                    at = begin * step + query_head * width
                    _times_columns(query, at, step, rows, width, keys, row, prompt, column, own, shares, line)
                    _times_columns(grad, at, step, rows, width, values, row, prompt, column, own, slopes, line)
                    for r in range(U(0), rows):
                        here = at + r * step
                        delta = _ZERO
                        for i in range(here, here + width):
                            delta += grad[i] * out[i]
                        log_sum = lse[(begin + r) * heads + query_head]
                        seen = prompt + own - rows + r + U(1)
                        _slopes_row(shares, slopes, r * line, seen, _stretch(prompt + own), scale, log_sum, delta)
                    one, more = U(1), prompt > U(0)
                    add_product(
                        slopes, U(0), line, one, key, shared, key_step, dq, at, step, rows, width, prompt, False
                    )
                    add_product(slopes, prompt, line, one, key, own_key, key_step, dq, at, step, rows, width, own, more)
                    add_product(
                        slopes, U(0), one, line, query, at, step, dk, shared, key_step, prompt, width, rows, True
                    )
                    add_product(
                        slopes, prompt, one, line, query, at, step, dk, own_key, key_step, own, width, rows, True
                    )
                    add_product(
                        shares, U(0), one, line, grad, at, step, dv, shared, key_step, prompt, width, rows, True
                    )
                    add_product(
                        shares, prompt, one, line, grad, at, step, dv, own_key, key_step, own, width, rows, True
                    )
            column += _padded(end - start)
