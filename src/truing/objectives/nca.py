"""Noise contrastive alignment, of pairs."""

from __future__ import annotations

from torch import Tensor
from torch.nn.functional import logsigmoid

from truing.objectives._pairs import Beta, expected, log_ratios, pair_term
from truing.reduce import Term
from truing.registry import objective

__all__ = ["nca"]


@objective
def nca(
    logprobs: Tensor,
    ref_logprobs: Tensor,
    mask: Tensor,
    chosen: Tensor,
    rejected: Tensor,
    strength: Tensor,
    *,
    beta: Beta = 0.01,
) -> Term:
    """NCA: -log σ(r_chosen) − ½·log σ(−r_chosen) − ½·log σ(−r_rejected), r = beta·Δ (arXiv:2402.05369, sec. 4.1).

    Each response is told from noise by itself, so that the *absolute* likelihood of the chosen one is kept up, where
    DPO looks at the difference only. The loss is least at σ(r_chosen) = 2/3: a chosen response may not grow without
    end. A larger `beta` holds the policy nearer the reference. Expected over `strength`. Returns `[pairs]`.
    """
    rewards = beta * log_ratios(logprobs, ref_logprobs, mask)
    better, worse = rewards[chosen], rewards[rejected]
    values = expected(
        lambda a, b: -logsigmoid(a) - 0.5 * logsigmoid(-a) - 0.5 * logsigmoid(-b), better, worse, strength
    )
    return pair_term(values, better, worse, chosen=chosen, rejected=rejected, logprobs=logprobs, mask=mask)
