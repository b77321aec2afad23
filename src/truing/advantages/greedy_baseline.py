"""The advantage of ReMax."""

from __future__ import annotations

from torch import Tensor

from truing.registry import advantage

__all__ = ["greedy_baseline"]


@advantage
def greedy_baseline(rewards: Tensor, baselines: Tensor) -> Tensor:
    """ReMax: A = r − r(greedy response to the same prompt) (arXiv:2310.10505, eq. 7).

    Costs one more response for each prompt, and needs neither a value model nor a group. 0 where either has no reward.
    Returns `[rows]`, float32.
    """
    assert rewards.shape == baselines.shape
    return (rewards - baselines).detach().nan_to_num(0.0).float()
