"""DPO under other divergences than the reverse KL."""

from __future__ import annotations

import math
from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor
from torch.nn.functional import logsigmoid

from truing.objectives._pairs import Beta, bounded_exp, cross_entropy, log_ratios, pair_term
from truing.reduce import Term
from truing.registry import objective

__all__ = ["f_dpo"]

Divergence = Literal["reverse_kl", "forward_kl", "jensen_shannon", "alpha"]


def _slope(log_ratios: Tensor, divergence: Divergence, alpha: float) -> Tensor:
    """f′(u) from log u, up to a constant: it cancels between two responses. 0 at u = 1."""
    if divergence == "reverse_kl":
        return log_ratios
    if divergence == "jensen_shannon":
        return math.log(2) + logsigmoid(log_ratios)
    power = 1.0 if divergence == "forward_kl" else alpha
    return (1 - bounded_exp(-power * log_ratios)) / power


@objective
def f_dpo(
    logprobs: Tensor,
    ref_logprobs: Tensor,
    mask: Tensor,
    chosen: Tensor,
    rejected: Tensor,
    strength: Tensor,
    *,
    divergence: Divergence = "reverse_kl",
    beta: Beta = 0.1,
    alpha: Annotated[float, Field(gt=0, lt=1)] = 0.5,
) -> Term:
    """f-DPO: -log σ(beta·(f′(u_chosen) − f′(u_rejected))), u = π/π_ref of a response (arXiv:2309.16240).

    `divergence` says in which f-divergence the policy is held to the reference: `reverse_kl` f′ = log u (that is DPO),
    `forward_kl` f′ = −1/u (covers all that the reference says), `jensen_shannon` f′ = log(2u/(1 + u)) (between them,
    and bounded above), `alpha` f′ = (1 − u^−alpha)/alpha, with `alpha` near 0 the reverse and near 1 the forward KL.
    `beta` is the price of it. u^−1 beyond e^20 goes on as a straight line in log u. Expected over `strength`. Returns
    `[pairs]`.
    """
    ratios = log_ratios(logprobs, ref_logprobs, mask)
    rewards = beta * _slope(ratios, divergence, alpha)
    better, worse = rewards[chosen], rewards[rejected]
    values = cross_entropy(better - worse, strength)
    return pair_term(values, better, worse, chosen=chosen, rejected=rejected, logprobs=logprobs, mask=mask)
