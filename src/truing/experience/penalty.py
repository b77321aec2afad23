"""Distance from the reference inside the reward, and the coefficient that holds it at a target."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

__all__ = ["adapted", "penalised"]

# exp(20) = 4.9e8: beyond, k3 says nothing but "far".
LOG_RATIO_LIMIT = 20.0


def penalised(
    rewards: Tensor,
    logprobs: Tensor,
    ref_logprobs: Tensor,
    mask: Tensor,
    coefficient: float,
    estimator: Literal["k1", "k2", "k3"],
) -> tuple[Tensor, Tensor]:
    """r_t − coefficient·k_t, [rows, tokens], and Σ_t log π/π_ref, [rows] (arXiv:1909.08593, eq. 2; 2203.02155, eq. 2).

    All but the coefficient are [rows, tokens]. d = log π − log π_ref; k1 = d, k2 = d²/2, k3 = e^(−d) − 1 + d (Schulman,
    "Approximating KL divergence", 2020). As a part of the reward, k1 gives the gradient of KL(π ‖ π_ref) without bias.
    """
    assert rewards.shape == logprobs.shape == ref_logprobs.shape == mask.shape
    d = (logprobs - ref_logprobs).masked_fill(~mask, 0.0)
    bounded = d.clamp(min=-LOG_RATIO_LIMIT)
    estimate = {"k1": d, "k2": d**2 / 2, "k3": torch.expm1(-bounded) + bounded}[estimator]
    return rewards - coefficient * estimate, d.sum(1)


def adapted(coefficient: float, kl: float, target: float, *, samples: int, horizon: float) -> float:
    """coefficient·(1 + e·samples/horizon), e = clip(kl/target − 1, −0.2, 0.2) (arXiv:1909.08593, eq. 3).

    `kl` is the mean of a response, in nats, over `samples` responses.
    """
    error = min(0.2, max(-0.2, kl / target - 1))
    return coefficient * (1 + error * samples / horizon)
