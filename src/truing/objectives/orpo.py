"""Odds ratio preference optimisation."""

from __future__ import annotations

import torch
from torch import Tensor

from truing.objectives._pairs import cross_entropy, mean, pair_term
from truing.reduce import Term
from truing.registry import objective

__all__ = ["orpo"]

# 1 − P is 0 where the policy is certain; a token this probable has nothing left to learn.
CERTAIN = -1e-6


def _log_odds(logps: Tensor) -> Tensor:
    """log P − log(1 − P) from log P ≤ 0."""
    return logps - torch.log(-torch.expm1(logps.clamp(max=CERTAIN)))


@objective
def orpo(
    logprobs: Tensor,
    mask: Tensor,
    chosen: Tensor,
    rejected: Tensor,
    strength: Tensor,
) -> Term:
    """ORPO: -log σ(log odds(chosen) − log odds(rejected)), odds = P/(1 − P), log P = mean over tokens of log π
    (arXiv:2403.07691, eq. 4 and 7).

    The odds-ratio term alone. The method is this with a weight (the paper's λ) beside `sft`: both stages in one run,
    without a reference. In 1 − P, log P is cut at −1e-6. Expected over `strength`. Returns `[pairs]`.
    """
    log_odds = _log_odds(mean(logprobs, mask))
    better, worse = log_odds[chosen], log_odds[rejected]
    values = cross_entropy(better - worse, strength)
    return pair_term(values, better, worse, chosen=chosen, rejected=rejected, logprobs=logprobs, mask=mask)
