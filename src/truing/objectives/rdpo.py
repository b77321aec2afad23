"""Length-regularised DPO."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from torch import Tensor

from truing.objectives._pairs import Beta, cross_entropy, log_ratios, num_tokens, pair_term
from truing.reduce import Term
from truing.registry import objective

__all__ = ["rdpo"]


@objective
def rdpo(
    logprobs: Tensor,
    ref_logprobs: Tensor,
    mask: Tensor,
    chosen: Tensor,
    rejected: Tensor,
    strength: Tensor,
    *,
    beta: Beta = 0.1,
    alpha: Annotated[float, Field(ge=0)] = 0.05,
) -> Term:
    """R-DPO: -log σ(beta·(Δchosen − Δrejected) + alpha·(|chosen| − |rejected|)), |y| in tokens (arXiv:2403.19159).

    The reward pays a response for its quality and the regulariser takes `alpha` for each token: a chosen response that
    is longer has part of its margin explained by length and teaches less, a shorter one more. Larger is shorter; 0 is
    DPO. A larger `beta` holds the policy nearer the reference. Expected over `strength`. Returns `[pairs]`.
    """
    rewards = beta * log_ratios(logprobs, ref_logprobs, mask) + alpha * num_tokens(mask, logprobs)
    better, worse = rewards[chosen], rewards[rejected]
    values = cross_entropy(better - worse, strength)
    return pair_term(values, better, worse, chosen=chosen, rejected=rejected, logprobs=logprobs, mask=mask)
