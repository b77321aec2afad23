"""Sparsity of what adapters add to the weights."""

from __future__ import annotations

from torch import Tensor

from truing.reduce import Term
from truing.registry import objective

__all__ = ["sparsity"]


@objective
def sparsity(adapter_l1: Tensor, mask: Tensor) -> Term:
    """L1 norm of what the adapters add to the weights: Σ |Δ|, Δ = (alpha / r)·B·A (PAFT, arXiv:2406.17923).

    The weight of the term is λ. An entry of Δ stays near 0 unless the gradient of the other terms on it is larger than
    λ, so that a larger one leaves fewer entries. The norm is counted once a step, whatever the reduction and however
    the batch is cut: every response has it as its value, and a mean of equal values is the value. Returns `[rows]`.
    """
    assert adapter_l1.ndim == 0
    values = adapter_l1.expand(len(mask))
    return Term(values, mask.any(1), metrics={"adapter_l1": values.detach()})
