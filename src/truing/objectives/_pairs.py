"""What objectives on pairs share: sums over a response, soft labels, what is logged.

Wherever the data says how sure a preference is (`strength`), the loss of a pair is the expected one over who is
better: strength · loss(chosen, rejected) + (1 − strength) · loss(rejected, chosen). At strength 1 that is the loss as
published.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor
from torch.nn.functional import logsigmoid

from truing.reduce import Term

__all__ = [
    "Beta",
    "Smoothing",
    "bounded_exp",
    "cross_entropy",
    "expected",
    "log_ratios",
    "mean",
    "num_tokens",
    "pair_term",
    "smoothed",
    "total",
]

Beta = Annotated[float, Field(gt=0)]
Smoothing = Annotated[float, Field(ge=0, lt=0.5)]

# exp(20) = 4.9e8: beyond it a loss says nothing but "very wrong", and beyond 88 it is no float32.
EXPONENT_LIMIT = 20.0


def total(values: Tensor, mask: Tensor) -> Tensor:
    """[rows]: sum over the trained tokens of each row. 0 for a row without any."""
    assert values.shape == mask.shape
    return values.masked_fill(~mask, 0.0).sum(1)


def num_tokens(mask: Tensor, like: Tensor) -> Tensor:
    """[rows]: trained tokens of each row, as numbers of the type of `like`."""
    return mask.sum(1).to(like.dtype)


def mean(values: Tensor, mask: Tensor) -> Tensor:
    """[rows]: mean over the trained tokens of each row. 0 for a row without any."""
    return total(values, mask) / num_tokens(mask, values).clamp(min=1)


def log_ratios(logprobs: Tensor, ref_logprobs: Tensor, mask: Tensor) -> Tensor:
    """[rows]: Δ = log π − log π_ref, summed over each response."""
    assert logprobs.shape == ref_logprobs.shape == mask.shape
    return total(logprobs - ref_logprobs, mask)


def smoothed(strength: Tensor, label_smoothing: float) -> Tensor:
    """Probability that the chosen one is preferred, if a share `label_smoothing` of the labels is wrong."""
    return strength * (1 - label_smoothing) + (1 - strength) * label_smoothing


def cross_entropy(margins: Tensor, preferred: Tensor) -> Tensor:
    """−p · log σ(m) − (1 − p) · log σ(−m), least at m = logit(p)."""
    assert margins.shape == preferred.shape
    return -preferred * logsigmoid(margins) - (1 - preferred) * logsigmoid(-margins)


def expected(loss: Callable[[Tensor, Tensor], Tensor], chosen: Tensor, rejected: Tensor, preferred: Tensor) -> Tensor:
    """The mean of loss(chosen, rejected) and loss(rejected, chosen), weighted by p and 1 − p."""
    assert chosen.shape == rejected.shape == preferred.shape
    return preferred * loss(chosen, rejected) + (1 - preferred) * loss(rejected, chosen)


def bounded_exp(x: Tensor) -> Tensor:
    """e^x, continued as a straight line of the same slope above 20: finite, and still with a gradient."""
    return x.clamp(max=EXPONENT_LIMIT).exp() * (1 + torch.relu(x - EXPONENT_LIMIT))


def pair_term(
    values: Tensor,
    better: Tensor,
    worse: Tensor,
    *,
    chosen: Tensor,
    rejected: Tensor,
    logprobs: Tensor,
    mask: Tensor,
    extra: Mapping[str, Tensor] | None = None,
) -> Term:
    """The values of all pairs, with what every method on pairs logs.

    `better` and `worse` `[pairs]` are what the method takes for the rewards of the chosen and of the rejected response.
    """
    assert values.shape == better.shape == worse.shape == chosen.shape == rejected.shape
    better, worse, logps = better.detach(), worse.detach(), total(logprobs.detach(), mask)
    metrics = {
        "rewards/chosen": better,
        "rewards/rejected": worse,
        "rewards/margins": better - worse,
        "rewards/accuracies": (better > worse).to(values.dtype),
        "logps/chosen": logps[chosen],
        "logps/rejected": logps[rejected],
        **(extra or {}),
    }
    return Term(values, torch.ones_like(chosen, dtype=torch.bool), chosen, metrics)
