"""A model of which of two answers is preferred, which reads both."""

from __future__ import annotations

import torch
from torch import Tensor

from truing.objectives import _pairs
from truing.reduce import Term
from truing.registry import objective

__all__ = ["pair_preference"]


@objective
def pair_preference(pair_scores: Tensor, chosen: Tensor, rejected: Tensor, strength: Tensor) -> Term:
    """Pair preference: −p·log P − (1 − p)·log(1 − P), P = σ((s(x, y_w, y_l) − s(x, y_l, y_w))/2) (both orders:
    LLM-Blender's PairRM, arXiv:2306.02561; the preference model of Nash learning, arXiv:2312.00886).

    s is the head on one sequence that holds both answers, in the order said; `chosen` and `rejected` are the rows in
    which the better and the worse one come first, p = `strength`. By construction P(A, B) + P(B, A) = 1. Returns
    `[pairs]`.
    """
    assert pair_scores.ndim == 1
    assert chosen.shape == rejected.shape == strength.shape
    better, worse = pair_scores[chosen], pair_scores[rejected]
    logits = (better - worse) / 2
    values = _pairs.cross_entropy(logits, strength)

    logits, lean = logits.detach(), ((better + worse) / 2).detach()
    metrics = {
        "preferences/chosen": logits.sigmoid(),
        "preferences/first": lean.sigmoid(),
        "rewards/margins": logits,
        "rewards/accuracies": (logits > 0).to(values.dtype),
    }
    return Term(values, torch.ones_like(chosen, dtype=torch.bool), chosen, metrics)
