"""Sequence likelihood calibration."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from truing.objectives._pairs import expected, pair_term, total
from truing.reduce import Term
from truing.registry import objective

__all__ = ["slic"]


@objective
def slic(
    logprobs: Tensor,
    mask: Tensor,
    chosen: Tensor,
    rejected: Tensor,
    strength: Tensor,
    *,
    delta: Annotated[float, Field(gt=0)] = 1.0,
) -> Term:
    """SLiC: max(0, delta − log π(chosen) + log π(rejected)) (SLiC-HF, arXiv:2305.10425, sec. 2).

    No reference: what keeps the policy in place is a term of `sft` beside it, the paper's regulariser. `delta` is the
    distance, in nats, from which a pair is left alone. Expected over `strength`. Returns `[pairs]`.
    """
    logps = total(logprobs, mask)
    better, worse = logps[chosen], logps[rejected]
    values = expected(lambda a, b: torch.relu(delta - (a - b)), better, worse, strength)
    return pair_term(values, better, worse, chosen=chosen, rejected=rejected, logprobs=logprobs, mask=mask)
