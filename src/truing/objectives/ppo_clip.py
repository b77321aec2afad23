"""The clipped surrogate of PPO."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from truing.reduce import Term
from truing.registry import objective

__all__ = ["ppo_clip"]

# exp(20) = 4.9e8. A token this far from where it was sampled says nothing; beyond about 88 its ratio is no float32.
LOG_RATIO_LIMIT = 20.0


@objective
def ppo_clip(
    logprobs: Tensor,
    old_logprobs: Tensor,
    advantages: Tensor,
    mask: Tensor,
    *,
    clip: Annotated[float, Field(gt=0, lt=1)] = 0.2,
    clip_high: Annotated[float, Field(gt=0)] | None = None,
    dual_clip: Annotated[float, Field(gt=1)] | None = None,
) -> Term:
    """PPO: -min(ρ·A, clamp(ρ, 1 − clip, 1 + clip_high)·A), ρ = π/π_old of a token (arXiv:1707.06347, eq. 7).

    A token whose probability has moved by more than `clip` in the direction of its advantage is left alone: smaller
    is safer and slower. `clip_high` (default: `clip`) sets the upper bound apart; a larger one, as 0.28 beside 0.2,
    lets improbable tokens grow and keeps up entropy (DAPO, arXiv:2503.14476, sec. 3.1). On-policy (ρ = 1) the
    gradient is that of `reinforce`. `dual_clip`, c: where A < 0 the loss is at most c·|A|, so that a bad token that has
    become far more probable does not outweigh everything (arXiv:1912.09729, eq. 5; c = 3 there). |log ρ| beyond 20 is
    cut, without gradient, so that no ratio overflows. Returns `[rows, tokens]`.
    """
    assert logprobs.shape == old_logprobs.shape == advantages.shape == mask.shape
    low, high = 1 - clip, 1 + (clip if clip_high is None else clip_high)
    log_ratios = (logprobs - old_logprobs.detach()).masked_fill(~mask, 0.0)
    ratios = log_ratios.clamp(-LOG_RATIO_LIMIT, LOG_RATIO_LIMIT).exp()
    gains = advantages.detach().masked_fill(~mask, 0.0)
    surrogate = torch.min(ratios * gains, ratios.clamp(low, high) * gains)
    if dual_clip is not None:
        surrogate = torch.where(gains < 0, torch.max(surrogate, dual_clip * gains), surrogate)
    values = -surrogate

    ratios = ratios.detach()
    clipped_low = ((ratios < low) & (gains < 0)).to(values.dtype)
    clipped_high = ((ratios > high) & (gains > 0)).to(values.dtype)
    metrics = {
        "ratio": ratios,
        "clip_ratio/low": clipped_low,
        "clip_ratio/high": clipped_high,
        "clip_ratio/region": clipped_low + clipped_high,
    }
    if dual_clip is not None:
        metrics["clip_ratio/dual"] = ((ratios > dual_clip) & (gains < 0)).to(values.dtype)
    return Term(values, mask, metrics=metrics)
