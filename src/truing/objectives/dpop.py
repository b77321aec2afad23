"""DPO that may not lower the chosen response."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import logsigmoid

from truing.objectives._pairs import Beta, expected, log_ratios, pair_term
from truing.reduce import Term
from truing.registry import objective

__all__ = ["dpop"]


@objective
def dpop(
    logprobs: Tensor,
    ref_logprobs: Tensor,
    mask: Tensor,
    chosen: Tensor,
    rejected: Tensor,
    strength: Tensor,
    *,
    beta: Beta = 0.3,
    penalty: Annotated[float, Field(ge=0)] = 50.0,
) -> Term:
    """DPOP: -log σ(beta·(Δchosen − Δrejected − penalty·max(0, −Δchosen))), Δ = log π − log π_ref summed over a response
    (DPO-Positive, arXiv:2402.13228; penalty is its λ).

    DPO is content when the chosen response becomes less probable as long as the rejected one falls faster. Here a
    chosen response below the reference costs `penalty` times what it fell: larger allows less of it, 0 is DPO. A larger
    `beta` holds the policy nearer the reference. Expected over `strength`. Returns `[pairs]`.
    """
    ratios = log_ratios(logprobs, ref_logprobs, mask)

    def loss(a: Tensor, b: Tensor) -> Tensor:
        return -logsigmoid(beta * (a - b - penalty * torch.relu(-a)))

    values = expected(loss, ratios[chosen], ratios[rejected], strength)
    better, worse = beta * ratios[chosen], beta * ratios[rejected]
    return pair_term(values, better, worse, chosen=chosen, rejected=rejected, logprobs=logprobs, mask=mask)
