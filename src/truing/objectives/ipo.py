"""Identity preference optimisation."""

from __future__ import annotations

from torch import Tensor

from truing.objectives._pairs import Beta, expected, mean, pair_term, total
from truing.reduce import Term
from truing.registry import objective

__all__ = ["ipo"]


@objective
def ipo(
    logprobs: Tensor,
    ref_logprobs: Tensor,
    mask: Tensor,
    chosen: Tensor,
    rejected: Tensor,
    strength: Tensor,
    *,
    beta: Beta = 0.1,
    average: bool = True,
) -> Term:
    """IPO: (h − 1/(2·beta))², h = Δchosen − Δrejected, Δ = log π − log π_ref (arXiv:2310.12036, eq. 17; beta is its τ).

    Where DPO drives the margin of a sure label to infinity, IPO stops at beta·h = 1/2. A larger `beta` stops nearer the
    reference. `average` takes Δ as the mean over a response's tokens, as the authors do in practice; False is the sum,
    as eq. 17 is written, and asks for a tiny margin per token in long responses. Expected over `strength`; least at
    beta·h = strength − 1/2. Returns `[pairs]`.
    """
    ratios = logprobs - ref_logprobs
    ratios = mean(ratios, mask) if average else total(ratios, mask)
    target = 1 / (2 * beta)
    values = expected(lambda a, b: (a - b - target) ** 2, ratios[chosen], ratios[rejected], strength)
    better, worse = beta * ratios[chosen], beta * ratios[rejected]
    return pair_term(values, better, worse, chosen=chosen, rejected=rejected, logprobs=logprobs, mask=mask)
