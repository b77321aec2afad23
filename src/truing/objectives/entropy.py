"""Entropy bonus."""

from __future__ import annotations

from torch import Tensor

from truing.reduce import Term
from truing.registry import objective

__all__ = ["entropy"]


@objective
def entropy(entropies: Tensor, mask: Tensor) -> Term:
    """Entropy bonus: -H(π(· | before)), so that minimising it keeps the policy random (A3C, arXiv:1602.01783, sec. 4).

    The weight of the term is the bonus; a typical one is 0.001 to 0.01. Returns `[rows, tokens]`.
    """
    assert entropies.shape == mask.shape
    values = -entropies.masked_fill(~mask, 0.0)
    return Term(values, mask, metrics={"entropy": -values.detach()})
