"""Floating-point operations that nobody can do without: the matrix products of a training step.

A multiply-add counts as two. Left out, though they cost time: embeddings, norms, activations, softmaxes, the optimizer.
"""

from __future__ import annotations

from common.models import Size
from common.pairs import Lengths

__all__ = ["forward", "preference_step"]


def forward(size: Size, tokens: float, predicted: float, seen: float) -> float:
    """`tokens` through the layers, `predicted` of them through the head, `seen` (query, key) pairs in attention."""
    attention = 4 * size.head_width * size.heads * size.layers * seen  # q·k and p·v
    return 2 * size.body_weights * tokens + 2 * size.head_weights * predicted + attention


def preference_step(size: Size, batch: Lengths, *, reference: bool = True) -> float:
    """Forward and backward (twice a forward: by the inputs and by the weights) and, by default, the reference's
    forward. Each prompt once, the head at the tokens that are trained on."""
    once = forward(size, batch.once, batch.trained, batch.seen)
    return (4 if reference else 3) * once
