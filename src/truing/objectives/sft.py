"""Supervised fine-tuning."""

from __future__ import annotations

from torch import Tensor

from truing.reduce import Term
from truing.registry import objective

__all__ = ["sft"]


@objective
def sft(logprobs: Tensor, mask: Tensor, demonstrations: Tensor) -> Term:
    """SFT: -log π(token | before), of demonstrated responses only (InstructGPT, arXiv:2203.02155, sec. 3.5).

    In a comparison the chosen response is the demonstration, so that `dpo` plus a weight of `sft` is RPO
    (arXiv:2404.19733, eq. 1). Returns `[rows, tokens]`.
    """
    assert logprobs.shape == mask.shape
    assert demonstrations.shape == mask.shape[:1]
    trained = mask & demonstrations[:, None]
    values = -logprobs.masked_fill(~trained, 0.0)
    return Term(values, trained, metrics={"nll": values.detach()})
