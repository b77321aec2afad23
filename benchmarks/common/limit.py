"""Floating-point operations that nobody can do without: the matrix products of a training step.

A multiply-add counts as two. Left out, though they cost time: embeddings, norms, activations, softmaxes, the optimizer.
"""

from __future__ import annotations

from common.groups import Lengths
from common.models import Size

__all__ = ["forward", "step"]


def forward(size: Size, tokens: float, predicted: float, seen: float) -> float:
    """`tokens` through the layers, `predicted` of them through the head, `seen` (query, key) pairs in attention."""
    attention = 4 * size.head_width * size.heads * size.layers * seen  # q·k and p·v
    return 2 * size.body_weights * tokens + 2 * size.head_weights * predicted + attention


def step(size: Size, batch: Lengths, *, passes: int, head: bool = True, copied: bool = False) -> float:
    """A training step: `passes` is 3 for a forward and a backward pass (by the inputs and by the weights), 4 with a
    reference's forward. Each prompt once, or `copied` for every response; `head` at the tokens that are trained on,
    or, for a reward model, none to speak of."""
    tokens, seen = (batch.useful, batch.copied) if copied else (batch.once, batch.seen)
    return passes * forward(size, tokens, batch.trained if head else 0, seen)
