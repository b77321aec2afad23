"""A reward model from scores."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from torch import Tensor

from truing.reduce import Term
from truing.registry import objective

__all__ = ["reward_regression"]


@objective
def reward_regression(
    rewards: Tensor, scores: Tensor, *, center: float = 0.0, scale: Annotated[float, Field(gt=0)] = 1.0
) -> Term:
    """Regression: (r − (score − center)/scale)² (HelpSteer2, arXiv:2406.08673; a linear head on scores:
    arXiv:2406.12845).

    `center` is the score that means a reward of 0, `scale` the number of points that make 1: for stars from 1 to 5,
    3 and 2 give rewards from −1 to 1, which a new head learns faster than 1 to 5. Responses without a score are left
    out. Returns `[rows]`.
    """
    assert rewards.shape == scores.shape
    scored = ~scores.isnan()
    targets = (scores.nan_to_num(center) - center) / scale
    errors = rewards - targets.to(rewards.dtype)
    metrics = {
        "rewards/mean": rewards.detach(),
        "error": errors.detach().abs() * scale,
    }
    return Term(errors**2, scored, metrics=metrics)
