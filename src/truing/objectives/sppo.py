"""Self-play preference optimisation."""

from __future__ import annotations

from torch import Tensor

from truing.objectives._pairs import Beta, log_ratios, pair_term
from truing.reduce import Term
from truing.registry import objective

__all__ = ["sppo"]


@objective
def sppo(
    logprobs: Tensor,
    ref_logprobs: Tensor,
    mask: Tensor,
    chosen: Tensor,
    rejected: Tensor,
    strength: Tensor,
    *,
    beta: Beta = 1e-3,
) -> Term:
    """SPPO: (Δchosen − (P − ½)/beta)² + (Δrejected − (½ − P)/beta)², P the probability that the chosen one is preferred
    (arXiv:2405.00675, eq. 4.7; 1/beta is its η).

    Each log-ratio is led to a target of its own, so that the chosen response rises by itself and not only relative to
    the other. P is `strength`: 1, where nobody gave one, is the hard form. A larger `beta` asks for less. Returns
    `[pairs]`.
    """
    ratios = log_ratios(logprobs, ref_logprobs, mask)
    target = (strength - 0.5) / beta
    values = (ratios[chosen] - target) ** 2 + (ratios[rejected] + target) ** 2
    better, worse = beta * ratios[chosen], beta * ratios[rejected]
    return pair_term(values, better, worse, chosen=chosen, rejected=rejected, logprobs=logprobs, mask=mask)
