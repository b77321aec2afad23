"""Unlikelihood training: make the tokens of bad responses improbable."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from truing.objectives._thumbs import desired
from truing.reduce import Term
from truing.registry import objective

__all__ = ["unlikelihood"]

# 1 − π below this is cut, without gradient, as in the authors' code (fairseq): at π = 1 the loss has no value.
LEAST = 1e-5


@objective
def unlikelihood(logprobs: Tensor, mask: Tensor, labels: Tensor, *, alpha: Annotated[float, Field(ge=0)] = 1.0) -> Term:
    """Unlikelihood: -log π(token) of responses thumbed up, -α·log(1 − π(token)) of those thumbed down
    (arXiv:1908.04319; whole responses as negatives: arXiv:1911.03860).

    A larger `alpha` pushes harder against the bad responses; 0 is likelihood alone. Unlike the negative of the
    likelihood it is bounded below and leaves improbable tokens alone. Needs no reference. Returns `[rows, tokens]`.
    """
    assert logprobs.shape == mask.shape
    assert labels.shape == mask.shape[:1]
    trained = mask & (labels >= 0)[:, None]
    logps = logprobs.masked_fill(~trained, 0.0)
    up = desired(labels)[:, None].expand_as(trained)
    # expm1, not 1 − exp: half the digits of an improbable token would be lost.
    others = (-torch.expm1(logps)).clamp(min=LEAST)
    values = torch.where(up, -logps, -alpha * others.log())
    probabilities = logps.detach().exp()
    metrics = {
        "nll": torch.where(up, -logps.detach(), float("nan")),
        "probability/rejected": torch.where(up, float("nan"), probabilities),
    }
    return Term(values, trained, metrics=metrics)
