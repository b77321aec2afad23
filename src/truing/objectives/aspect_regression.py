"""A reward model with a head for each aspect, from scores of several aspects."""

from __future__ import annotations

from torch import Tensor

from truing.reduce import Term
from truing.registry import objective

__all__ = ["aspect_regression"]


@objective
def aspect_regression(aspect_rewards: Tensor, aspect_scores: Tensor) -> Term:
    """Aspect regression: (r_a − z_a)² for every aspect a that was scored (HelpSteer, arXiv:2311.09528; a head for each
    aspect: ArmoRM, arXiv:2406.12845).

    z is the score in standard deviations from the aspect's mean in the training data: a head that says 0 everywhere
    has a loss of 1. Aspects that nobody scored are left out. Returns `[rows, aspects]`.
    """
    assert aspect_rewards.shape == aspect_scores.shape
    given = ~aspect_scores.isnan()
    errors = aspect_rewards - aspect_scores.masked_fill(~given, 0.0).to(aspect_rewards.dtype)
    metrics = {
        "rewards/mean": aspect_rewards.detach(),
        "error": errors.detach().abs(),
    }
    return Term(errors**2, given, metrics=metrics)
