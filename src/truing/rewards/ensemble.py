"""Several reward models that have to agree.

rewards:
  - ensemble: {paths: [runs/reward-0, runs/reward-1, runs/reward-2], how: worst}
"""

from __future__ import annotations

import statistics
from typing import Any, Literal

from truing.errors import RecipeError
from truing.registry import reward
from truing.rewards.combine import ensembled
from truing.rewards.model import RewardModel

__all__ = ["Ensemble"]


class Ensemble:
    """Several reward models as one reward: `how` is their `mean`, the `worst` of them, or `uncertainty`, which is
    mean − penalty · standard deviation over the models (arXiv:2310.02743, which subtracts the variance).

    `paths` are folders or hub names. What one model overrates, the others do not: optimising against the worst or the
    uncertain mean is slower to be gamed. Each is normalised by its own mean and spread: they speak on one scale.
    """

    # Read by the registry: the types of the settings.
    paths: list[str]
    how: Literal["mean", "worst", "uncertainty"]
    penalty: float
    metrics: dict[str, float]
    dtype: Literal["float32", "bfloat16", "auto"]
    tokens_per_batch: int

    def __init__(
        self,
        *,
        paths: list[str],
        how: Literal["mean", "worst", "uncertainty"] = "mean",
        penalty: float = 1.0,
        dtype: Literal["float32", "bfloat16", "auto"] = "float32",
        tokens_per_batch: int = 8192,
    ) -> None:
        if len(paths) < 2:
            raise RecipeError(
                f"{len(paths)} reward models are no ensemble",
                where="reward `ensemble`, setting `paths`",
                remedy="Give two or more, trained with different seeds; one alone is the reward `model`.",
            )
        self.how, self.penalty, self.metrics = how, penalty, {}
        self.members = [RewardModel(path=path, dtype=dtype, tokens_per_batch=tokens_per_batch) for path in paths]

    def __call__(self, prompts: Any, completions: Any, **columns: Any) -> list[float]:
        """One reward per completion; `metrics` then has the `spread`, the mean over completions of the standard
        deviation over models."""
        scores = [member(prompts, completions, **columns) for member in self.members]
        self.metrics = {"spread": statistics.fmean(statistics.pstdev(column) for column in zip(*scores, strict=True))}
        return ensembled(scores, self.how, penalty=self.penalty)


reward.register(Ensemble, "ensemble")
