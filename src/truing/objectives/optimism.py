"""The exploration bonus of XPO."""

from __future__ import annotations

from torch import Tensor

from truing.objectives._pairs import total
from truing.reduce import Term
from truing.registry import objective

__all__ = ["optimism"]


@objective
def optimism(logprobs: Tensor, mask: Tensor, rivals: Tensor) -> Term:
    """Optimism: log π(y), summed over a response y that the reference sampled (XPO, arXiv:2405.21046, algorithm 1).

    Minimised beside `dpo`, by its `weight` alpha: what the reference says already becomes less likely, unless the
    comparisons speak for it, so that the policy tries what was not tried. By itself it has no lowest value. Returns
    `[rows]`, of `rivals` only.
    """
    assert logprobs.shape == mask.shape
    assert rivals.shape == mask.shape[:1]
    values = total(logprobs, mask)
    return Term(values, rivals & mask.any(1), metrics={"logps/rivals": values.detach()})
