"""Tree attention by compiled loops: a micro-batch as segments, tensors in and out of `kernels/attention.py`.

A segment is a stretch of tokens that is causal in itself: a prompt that branches share, a branch, or a prompt with its
lone branch. Its tokens see those of the segment before them, and, in a branch, all of the prompt.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from torch import Tensor

from truing.models.kernels import attention as kernels
from truing.models.kernels.blocks import COLUMNS
from truing.models.kernels.compiler import Array, U, fits, spread
from truing.tree import Span

__all__ = ["Segments", "backward", "fitting", "forward", "segments"]

# A thread is woken up in some 20 µs; a job of so many tokens takes longer.
_TOKENS_OF_A_JOB = 64


def segments(span: Span) -> tuple[tuple[int, int] | None, list[tuple[int, int]]]:
    """The prompt that branches share, if any, and the stretches (start, end) that are causal in themselves."""
    (start, prompt_end), branches = span.prompt, [b for b in span.branches if b[1] > b[0]]
    if len(branches) < 2:  # a lone branch goes on from its prompt
        return None, [(start, span.end)] if span.end > start else []
    if prompt_end == start:
        return None, branches
    return span.prompt, branches


class Segments:
    """A layout as the kernels read it; made once for all layers."""

    def __init__(self, layout: Sequence[Span]) -> None:
        trees, found = [0], []
        for span in layout:
            prompt, causal = segments(span)
            width = 0
            if prompt is not None:
                width = prompt[1] - prompt[0]
                found.append((*prompt, 0))
            found.extend((start, end, width) for start, end in causal)
            if len(found) > trees[-1]:
                trees.append(len(found))
        self.trees: kernels.Places = np.array(trees, np.uintp)
        self.segments: kernels.Places = np.array(found, np.uintp).reshape(-1, 3)
        self.num_trees = len(trees) - 1
        self.jobs_of_a_thread = -(-_TOKENS_OF_A_JOB * self.num_trees // max(1, layout[-1].end if layout else 0))


def fitting(query: Tensor, key: Tensor, value: Tensor, scale: float) -> bool:
    """Whether the kernels can compute this attention."""
    return (
        fits(query, key, value) and query.shape[-1] == value.shape[-1] and not query.shape[-1] % COLUMNS and scale > 0
    )


def _flat(heads: Tensor) -> Array:
    """[1, heads, T, d] -> [T·heads·d]; what projections and rotary embedding make is not copied."""
    array: Array = heads.detach()[0].transpose(0, 1).contiguous().view(-1).numpy()
    return array


def forward(cut: Segments, query: Tensor, key: Tensor, value: Tensor, scale: float) -> tuple[Tensor, Tensor]:
    """query [1, heads, T, d], key and value [1, H, T, d] -> output [1, T, heads, d], log-sum-exp [T, heads]."""
    (_, heads, size, width), key_heads = query.shape, key.shape[1]
    out, lse = query.new_empty(1, size, heads, width), query.new_empty(size, heads)
    spread(
        kernels.forward, _flat(query), _flat(key), _flat(value), cut.trees, cut.segments, U(heads), U(key_heads),
        U(width), np.float32(scale), out.view(-1).numpy(), lse.view(-1).numpy(),
        count=cut.num_trees * key_heads, at_least=cut.jobs_of_a_thread,
    )  # fmt: skip
    return out, lse


def backward(
    cut: Segments, query: Tensor, key: Tensor, value: Tensor, out: Tensor, lse: Tensor, grad: Tensor, scale: float
) -> tuple[Tensor, Tensor, Tensor]:
    """The gradients of query, key and value, shaped as they are, from that of `out` [1, T, heads, d]."""
    (_, heads, size, width), key_heads = query.shape, key.shape[1]
    dq = query.new_empty(size, heads, width)
    dk, dv = query.new_zeros(size, key_heads, width), query.new_zeros(size, key_heads, width)
    spread(
        kernels.backward, _flat(query), _flat(key), _flat(value), out.detach().view(-1).numpy(),
        lse.view(-1).numpy(), grad.detach().contiguous().view(-1).numpy(), cut.trees, cut.segments, U(heads),
        U(key_heads), U(width), np.float32(scale), *(t.view(-1).numpy() for t in (dq, dk, dv)),
        count=cut.num_trees * key_heads, at_least=cut.jobs_of_a_thread,
    )  # fmt: skip
    return dq.transpose(0, 1).unsqueeze(0), dk.transpose(0, 1).unsqueeze(0), dv.transpose(0, 1).unsqueeze(0)
