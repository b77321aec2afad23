"""Drawing from a softmax by one uniform number a row, compiled: what `draw` does in a dozen operations."""

from __future__ import annotations

import math

import numpy as np
import numpy.typing as npt

from truing.models.kernels.compiler import Array, U, compiled
from truing.models.kernels.exponential import exp
from truing.models.kernels.softmax import highest_of

__all__ = ["draw_rows"]

_BLOCK = 128
_LEAST = np.float32(-87.0)
_ZERO = np.float32(0)


@compiled
def _weigh(
    logits: Array, row: int, begin: int, count: int, top: np.float32, sharpness: np.float32, weights: Array
) -> np.float32:
    """weights = e^((logit − top) · sharpness) of `count` logits from `begin` on, and their sum."""
    total = _ZERO
    for i in range(count):
        gap = (logits[row, U(begin) + U(i)] - top) * sharpness
        weight = _ZERO if gap < _LEAST else exp(gap)
        weights[U(begin) + U(i)] = weight
        total += weight
    return total


@compiled
def draw_rows(
    logits: Array,
    sharpness: np.float32,
    uniforms: npt.NDArray[np.float64],
    tokens: npt.NDArray[np.int64],
    logprobs: Array,
    first: int,
    last: int,
) -> None:
    """For rows of logits [rows, vocab]: the first token at which the running sum of softmax(logits · sharpness) passes
    the row's uniform number, and its log-probability.

    Sums in two levels, as `inverse_cdf` has them: blocks of float32, between them float64. A token of probability 0 is
    never drawn. Where a logit is NaN or all are -inf, the log-probability is NaN and the token some token.
    """
    vocab = logits.shape[1]
    num_blocks = (vocab + _BLOCK - 1) // _BLOCK
    weights, sums = np.empty(vocab, np.float32), np.empty(num_blocks, np.float64)
    for row in range(first, last):
        top = highest_of(logits, row, vocab)
        total = 0.0
        for block in range(num_blocks - 1):
            sums[block] = _weigh(logits, row, block * _BLOCK, _BLOCK, top, sharpness, weights)
            total += sums[block]
        rest = (num_blocks - 1) * _BLOCK
        sums[num_blocks - 1] = _weigh(logits, row, rest, vocab - rest, top, sharpness, weights)
        total += sums[num_blocks - 1]
        goal = uniforms[row] * total
        block = 0
        while block < num_blocks - 1 and goal >= sums[block]:
            goal -= sums[block]
            block += 1
        token, running = -1, 0.0
        for i in range(block * _BLOCK, min(vocab, (block + 1) * _BLOCK)):
            running += weights[i]
            if weights[i] > _ZERO:
                token = i
                if running > goal:
                    break
        while token < 0 and block > 0:  # rounding led into a block without chances: the last token before that has one
            block -= 1
            for i in range(block * _BLOCK, (block + 1) * _BLOCK):
                if weights[i] > _ZERO:
                    token = i
        token = max(token, 0)
        tokens[row] = token
        logprobs[row] = (logits[row, token] - top) * sharpness - np.float32(math.log(total))
