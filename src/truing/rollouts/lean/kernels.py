"""A step's compiled loops: norms, the gate, rotary embedding, and attention of one token a row.

In shapes: N rows, H query heads, K key heads, D size of a head, P tokens of a prompt, T tokens that a suffix has room
for. `first, last` are the rows that a call is about.
"""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from truing.models.kernels.compiler import Array, U, compiled
from truing.models.kernels.exponential import exp
from truing.models.kernels.memory import fetch, floats_at
from truing.models.kernels.softmax import highest_of

__all__ = ["Array", "Indices", "add_norm", "attend", "gate", "norm_heads", "place", "turn"]

Indices = npt.NDArray[np.int64]

_0, _1, _2, _3, _4 = (U(i) for i in range(5))
_16, _LINE = U(16), U(64)  # bytes of four numbers, and of a line of memory
_ZERO, _ONE = np.float32(0), np.float32(1)


@compiled
def add_norm(x: Array, delta: Array, weight: Array, eps: np.float32, out: Array, first: int, last: int) -> None:
    """x += delta, and out = x / √(mean x² + eps) · weight; all [N, width], weight [width]."""
    width = x.shape[1]
    for row in range(U(first), U(last)):
        squares = _ZERO
        for i in range(width):
            value = x[row, i] + delta[row, i]
            x[row, i] = value
            squares += value * value
        scale = _ONE / math.sqrt(squares / np.float32(width) + eps)
        for i in range(width):
            out[row, i] = x[row, i] * scale * weight[i]


@compiled
def gate(gate_up: Array, out: Array, first: int, last: int) -> None:
    """silu(g) · u of [g | u] [N, 2·width] -> out [N, width]."""
    width = out.shape[1]
    for row in range(U(first), U(last)):
        for i in range(width):
            g = gate_up[row, i]
            out[row, i] = g / (_ONE + exp(-g)) * gate_up[row, width + i]


@compiled
def norm_heads(heads: Array, begin: int, end: int, weight: Array, eps: np.float32) -> None:
    """RMSNorm of each head from begin to end, in place: heads [N, H + 2K, D], weight [D]."""
    size = heads.shape[2]
    for row in range(heads.shape[0]):
        for head in range(begin, end):
            squares = _ZERO
            for i in range(size):
                squares += heads[row, head, i] * heads[row, head, i]
            scale = _ONE / math.sqrt(squares / np.float32(size) + eps)
            for i in range(size):
                heads[row, head, i] = heads[row, head, i] * scale * weight[i]


@compiled
def turn(heads: Array, cos: Array, sin: Array, positions: Indices, turned: int) -> None:
    """Rotary embedding of the first `turned` heads, in place: heads [N, H + 2K, D], cos and sin [all positions, D/2].

    A head's two halves a, b become a·cos − b·sin, b·cos + a·sin.
    """
    half = cos.shape[1]
    for row in range(positions.shape[0]):
        position = positions[row]
        for head in range(turned):
            for i in range(half):
                a, b, c, s = heads[row, head, i], heads[row, head, half + i], cos[position, i], sin[position, i]
                heads[row, head, i] = a * c - b * s
                heads[row, head, half + i] = b * c + a * s


@compiled
def place(heads: Array, queries: int, suffix: Array, ages: Indices) -> None:
    """Appends each row's keys and values to its suffix: heads [N, H + 2K, D], suffix [rows, 2, K, T, D]."""
    _, _, key_heads, _, size = suffix.shape
    for row in range(ages.shape[0]):
        age = ages[row]
        for kind in range(2):
            for head in range(key_heads):
                for i in range(size):
                    suffix[row, kind, head, age, i] = heads[row, queries + kind * key_heads + head, i]


@compiled
def _score(
    pair: Array, keys: Array, base: np.uintp, count: np.uintp, scores: Array, at: np.uintp, values: np.uintp
) -> None:
    """Products of two queries [2, D] with `count` keys, which begin at keys[base], to scores [2, …] from `at` on.

    `values` is the address of the values of these keys, which will be needed next: they are fetched meanwhile.
    """
    size = U(pair.shape[1])
    t, k0 = _0, base
    while t + _4 <= count:  # two queries by four keys: eight sums at once, each number read once
        a0, a1, a2, a3 = _ZERO, _ZERO, _ZERO, _ZERO
        b0, b1, b2, b3 = _ZERO, _ZERO, _ZERO, _ZERO
        k1, k2, k3 = k0 + size, k0 + _2 * size, k0 + _3 * size
        for line in range(size // _4):  # of 16 numbers
            fetch(values + line * _LINE)
        values += size * _16
        for i in range(size):
            a, b = pair[_0, i], pair[_1, i]
            v0, v1, v2, v3 = keys[k0 + i], keys[k1 + i], keys[k2 + i], keys[k3 + i]
            a0 += a * v0
            a1 += a * v1
            a2 += a * v2
            a3 += a * v3
            b0 += b * v0
            b1 += b * v1
            b2 += b * v2
            b3 += b * v3
        to = at + t
        scores[_0, to], scores[_0, to + _1], scores[_0, to + _2], scores[_0, to + _3] = a0, a1, a2, a3
        scores[_1, to], scores[_1, to + _1], scores[_1, to + _2], scores[_1, to + _3] = b0, b1, b2, b3
        t += _4
        k0 = k3 + size
    while t < count:
        a0, b0 = _ZERO, _ZERO
        for i in range(size):
            a0 += pair[_0, i] * keys[k0 + i]
            b0 += pair[_1, i] * keys[k0 + i]
        scores[_0, at + t], scores[_1, at + t] = a0, b0
        t += _1
        k0 += size


@compiled
def _mix(scores: Array, at: np.uintp, values: Array, base: np.uintp, count: np.uintp, sums: Array) -> None:
    """Adds `count` values, which begin at values[base], to sums [2, D], weighed by scores [2, …] from `at` on."""
    size = U(sums.shape[1])
    t, v0 = _0, base
    while t + _4 <= count:
        at_t = at + t
        a0, a1, a2, a3 = scores[_0, at_t], scores[_0, at_t + _1], scores[_0, at_t + _2], scores[_0, at_t + _3]
        b0, b1, b2, b3 = scores[_1, at_t], scores[_1, at_t + _1], scores[_1, at_t + _2], scores[_1, at_t + _3]
        v1, v2, v3 = v0 + size, v0 + _2 * size, v0 + _3 * size
        for i in range(size):
            p, q, r, s = values[v0 + i], values[v1 + i], values[v2 + i], values[v3 + i]
            sums[_0, i] += a0 * p + a1 * q + a2 * r + a3 * s
            sums[_1, i] += b0 * p + b1 * q + b2 * r + b3 * s
        t += _4
        v0 = v3 + size
    while t < count:
        for i in range(size):
            sums[_0, i] += scores[_0, at + t] * values[v0 + i]
            sums[_1, i] += scores[_1, at + t] * values[v0 + i]
        t += _1
        v0 += size


@compiled
def _softmax(scores: Array, which: int, count: int) -> np.float32:
    """Makes scores[which, :count] e^(score − the largest), and gives their sum."""
    top = highest_of(scores, which, count)
    total = _ZERO
    for t in range(count):
        weight = exp(scores[which, t] - top)
        scores[which, t] = weight
        total += weight
    return total


@compiled
def attend(
    heads: Array,
    suffix: Array,
    layer: int,
    ages: Indices,
    prompts: npt.NDArray[np.uintp],
    lengths: Indices,
    order: Indices,
    scale: np.float32,
    out: Array,
    first: int,
    last: int,
) -> None:
    """Attention of each row's queries to its prompt and its suffix.

    heads [N, H + 2K, D]; suffix [rows, 2, K, T, D], of which a row has filled ages + 1; `prompts` [N] the address of
    each row's [layers, 2, K, P, D], contiguous, and `lengths` [N] its P; out [N, H, D]. Rows go in `order`, those of a
    prompt one after the other, so that it is in the cache.
    """
    _, _, key_heads, room, size = suffix.shape
    queries = out.shape[1]
    ratio = queries // key_heads
    flat, begin = suffix.reshape(suffix.size), U(suffix.ctypes.data)
    pair, sums = np.empty((2, size), np.float32), np.empty((2, size), np.float32)
    longest = 0
    for place in range(first, last):
        row = order[place]
        longest = max(longest, lengths[row] + ages[row] + 1)
    scores = np.empty((2, longest), np.float32)
    for place in range(first, last):
        row = order[place]
        num_prompt, num_suffix = lengths[row], ages[row] + 1
        count = num_prompt + num_suffix
        layers_before = 2 * key_heads * num_prompt * size * layer
        address = U(prompts[row])
        prompt = floats_at(address, layers_before + 2 * key_heads * num_prompt * size)
        for key_head in range(key_heads):
            prompt_keys = U(layers_before + key_head * num_prompt * size)
            prompt_values = prompt_keys + U(key_heads * num_prompt * size)
            suffix_keys = U((row * 2 * key_heads + key_head) * room * size)
            suffix_values = suffix_keys + U(key_heads * room * size)
            for head in range(key_head * ratio, (key_head + 1) * ratio, 2):
                other = min(head + 1, (key_head + 1) * ratio - 1)  # the last one twice, where they are odd
                for i in range(size):
                    pair[0, i] = heads[row, head, i] * scale
                    pair[1, i] = heads[row, other, i] * scale
                    sums[0, i] = _ZERO
                    sums[1, i] = _ZERO
                _score(pair, prompt, prompt_keys, U(num_prompt), scores, _0, address + _4 * prompt_values)
                _score(pair, flat, suffix_keys, U(num_suffix), scores, U(num_prompt), begin + _4 * suffix_values)
                a, b = _ONE / _softmax(scores, 0, count), _ONE / _softmax(scores, 1, count)
                _mix(scores, _0, prompt, prompt_values, U(num_prompt), sums)
                _mix(scores, U(num_prompt), flat, suffix_values, U(num_suffix), sums)
                for i in range(size):
                    out[row, head, i] = sums[0, i] * a
                    out[row, other, i] = sums[1, i] * b
