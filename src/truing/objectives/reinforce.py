"""The plain policy gradient."""

from __future__ import annotations

from torch import Tensor

from truing.reduce import Term
from truing.registry import objective

__all__ = ["reinforce"]


@objective
def reinforce(logprobs: Tensor, advantages: Tensor, mask: Tensor) -> Term:
    """REINFORCE: -A·log π(token | before) (Williams 1992, doi:10.1007/BF00992696; for language models:
    arXiv:2402.14740).

    Its gradient is that of the expected reward only on tokens that the present policy sampled: one update per batch of
    samples. For more, `ppo_clip`. Returns `[rows, tokens]`.
    """
    assert logprobs.shape == advantages.shape == mask.shape
    values = -(advantages.detach().masked_fill(~mask, 0.0) * logprobs.masked_fill(~mask, 0.0))
    return Term(values, mask)
