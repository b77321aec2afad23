"""Distance from the reference, as a loss."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from truing.reduce import Term
from truing.registry import objective

__all__ = ["kl"]

# exp(20) = 4.9e8: a token so much less probable than under the reference is far beyond repair by this term.
LOG_RATIO_LIMIT = 20.0


@objective
def kl(logprobs: Tensor, ref_logprobs: Tensor, mask: Tensor, *, estimator: Literal["k1", "k2", "k3"] = "k3") -> Term:
    """KL(π ‖ π_ref) of each token from its sample, with d = log π − log π_ref: k1 = d, k2 = d²/2, k3 = e^(−d) − 1 + d
    (Schulman, "Approximating KL divergence", 2020; k3 in GRPO: arXiv:2402.03300, eq. 4).

    Averaged over the policy's own samples, k1 and k3 *are* the divergence. Their gradients are not its gradient
    (arXiv:2506.09477): choose `estimator` by what minimising does on-policy.

    - `k2`: E[d·∇log π] = ∇KL(π ‖ π_ref), the gradient of the divergence. The right one as a loss.
    - `k3`: E[(1 − π_ref/π)·∇log π] = ∇KL(π_ref ‖ π), that of the *reverse order*; close to it near the reference. The
      default because GRPO as published has it.
    - `k1`: E[∇log π] = 0. As a loss it does nothing but add noise; it belongs in the reward.

    Logged as `kl` is always k3, so that runs compare. In k3, d below −20 is cut, without gradient. Returns
    `[rows, tokens]`.
    """
    assert logprobs.shape == ref_logprobs.shape == mask.shape
    log_ratios = (logprobs - ref_logprobs.detach()).masked_fill(~mask, 0.0)
    bounded = log_ratios.clamp(min=-LOG_RATIO_LIMIT)
    k3 = (-bounded).expm1() + bounded
    values = {"k1": log_ratios, "k2": log_ratios**2 / 2, "k3": k3}[estimator]
    return Term(values, mask, metrics={"kl": k3.detach()})
