"""Group sequence policy optimisation."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from truing.reduce import Term
from truing.registry import objective

__all__ = ["gspo"]

LOG_RATIO_LIMIT = 20.0


@objective
def gspo(
    logprobs: Tensor,
    old_logprobs: Tensor,
    advantages: Tensor,
    mask: Tensor,
    *,
    clip: Annotated[float, Field(gt=0, lt=1)] = 3e-4,
    clip_high: Annotated[float, Field(gt=0)] = 4e-4,
) -> Term:
    """GSPO: -min(s·A, clamp(s, 1 − clip, 1 + clip_high)·A), s = exp(mean over tokens of log π/π_old)
    (arXiv:2507.18071, eq. 5 and 7).

    One ratio for the whole response, as the reward is for the whole response: steadier than one for each token, above
    all with mixtures of experts. The ratio is a geometric mean, so the bounds, 1 − `clip` and
    1 + `clip_high`, are far nearer to 1 than PPO's (sec. 5.1): smaller moves less in one batch, and drops more
    responses. `advantages` are averaged over a response. Returns `[rows]`.
    """
    assert logprobs.shape == old_logprobs.shape == advantages.shape == mask.shape
    number = mask.sum(1).clamp(min=1)
    log_ratios = (logprobs - old_logprobs.detach()).masked_fill(~mask, 0.0).sum(1) / number
    ratios = log_ratios.clamp(-LOG_RATIO_LIMIT, LOG_RATIO_LIMIT).exp()
    gains = advantages.detach().masked_fill(~mask, 0.0).sum(1) / number
    low, high = 1 - clip, 1 + clip_high
    values = -torch.min(ratios * gains, ratios.clamp(low, high) * gains)

    ratios = ratios.detach()
    clipped_low = ((ratios < low) & (gains < 0)).to(values.dtype)
    clipped_high = ((ratios > high) & (gains > 0)).to(values.dtype)
    metrics = {
        "ratio": ratios,
        "clip_ratio/low": clipped_low,
        "clip_ratio/high": clipped_high,
        "clip_ratio/region": clipped_low + clipped_high,
    }
    return Term(values, mask.any(1), metrics=metrics)
