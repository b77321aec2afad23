"""Clipped importance-sampling policy optimisation."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from torch import Tensor

from truing.reduce import Term
from truing.registry import objective

__all__ = ["cispo"]

LOG_RATIO_LIMIT = 20.0


@objective
def cispo(
    logprobs: Tensor,
    old_logprobs: Tensor,
    advantages: Tensor,
    mask: Tensor,
    *,
    max_ratio: Annotated[float, Field(ge=1)] = 5.0,
) -> Term:
    """CISPO: -min(ρ, max_ratio)·A·log π, no gradient through ρ = π/π_old (MiniMax-M1, arXiv:2506.13585, eq. 4 and 5).

    PPO drops the gradient of a token that has moved too far; here its weight is bounded and every token goes on
    teaching, rare ones that turn an argument ("However") too. A larger `max_ratio` has less bias and more noise.
    Returns `[rows, tokens]`.
    """
    assert logprobs.shape == old_logprobs.shape == advantages.shape == mask.shape
    log_ratios = (logprobs.detach() - old_logprobs.detach()).masked_fill(~mask, 0.0)
    ratios = log_ratios.clamp(-LOG_RATIO_LIMIT, LOG_RATIO_LIMIT).exp()
    gains = advantages.detach().masked_fill(~mask, 0.0)
    values = -(ratios.clamp(max=max_ratio) * gains * logprobs.masked_fill(~mask, 0.0))
    clipped = (ratios > max_ratio).to(values.dtype)
    return Term(values, mask, metrics={"ratio": ratios, "clip_ratio/high": clipped})
