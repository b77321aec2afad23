"""Token-level direct preference optimisation."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field
from torch import Tensor
from torch.nn.functional import logsigmoid

from truing.objectives._pairs import Beta, log_ratios, pair_term, total
from truing.reduce import Term
from truing.registry import objective

__all__ = ["tdpo"]


@objective
def tdpo(
    logprobs: Tensor,
    ref_logprobs: Tensor,
    ref_kl: Tensor,
    mask: Tensor,
    chosen: Tensor,
    rejected: Tensor,
    strength: Tensor,
    *,
    variant: Literal["tdpo1", "tdpo2"] = "tdpo2",
    beta: Beta = 0.1,
    alpha: Annotated[float, Field(ge=0)] = 0.5,
) -> Term:
    """TDPO: -log σ(beta·(Δchosen − Δrejected − alpha·(Drejected − sg(Dchosen)))) (arXiv:2404.11999).

    Δ is log π − log π_ref and D is KL(π_ref ‖ π) over the whole vocabulary, both summed over a response's tokens. That
    is `variant` `tdpo2`: whatever a response's own log-ratio does, the policy is held to the reference at every token
    of the rejected one; D of the chosen has no gradient (sg). `tdpo1` is the same with `alpha` 1 and a gradient through
    both, so that the policy may also leave the reference along the chosen one. A larger `alpha` holds nearer along
    rejected responses, a larger `beta` everywhere; alpha 0 is DPO. Expected over `strength`. Returns `[pairs]`.
    """
    assert ref_kl.shape == mask.shape
    ratios, divergence = log_ratios(logprobs, ref_logprobs, mask), total(ref_kl, mask)
    price = 1.0 if variant == "tdpo1" else alpha
    of_better = divergence if variant == "tdpo1" else divergence.detach()

    def loss(better: Tensor, worse: Tensor) -> Tensor:
        """[pairs]: as if `better` were surely preferred; turned round it is not the same, for the gradient's sake."""
        margin = ratios[better] - ratios[worse] - price * (divergence[worse] - of_better[better])
        return -logsigmoid(beta * margin)

    values = strength * loss(chosen, rejected) + (1 - strength) * loss(rejected, chosen)
    rewards, drift = beta * (ratios + price * divergence), divergence.detach()
    return pair_term(
        values,
        rewards[chosen],
        rewards[rejected],
        chosen=chosen,
        rejected=rejected,
        logprobs=logprobs,
        mask=mask,
        extra={"kl/chosen": drift[chosen], "kl/rejected": drift[rejected]},
    )
