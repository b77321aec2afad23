"""What the value head learns."""

from __future__ import annotations

from typing import Annotated

import torch
from pydantic import Field
from torch import Tensor

from truing.reduce import Term
from truing.registry import objective

__all__ = ["value"]


@objective
def value(
    values: Tensor,
    old_values: Tensor,
    returns: Tensor,
    mask: Tensor,
    *,
    clip: Annotated[float, Field(gt=0)] | None = 0.2,
) -> Term:
    """Value loss: ½·max((V − R)², (V_old + clamp(V − V_old, −clip, clip) − R)²) (arXiv:2005.12729).

    Within one batch the value moves by at most `clip`: smaller is steadier and slower; none = the plain squared error.
    Its weight beside `ppo_clip` matters where it shares the policy's backbone, and is 0.1 in RLHF
    (arXiv:2403.17031, sec. 7). Returns `[rows, tokens]`.
    """
    assert values.shape == old_values.shape == returns.shape == mask.shape
    said = values.masked_fill(~mask, 0.0)
    before = old_values.detach().masked_fill(~mask, 0.0)
    target = returns.detach().masked_fill(~mask, 0.0)
    errors = (said - target) ** 2
    worst = errors
    clipped = torch.zeros_like(errors)
    if clip is not None:
        held = (before + (said - before).clamp(-clip, clip) - target) ** 2
        worst = torch.max(errors, held)
        clipped = (held > errors).to(errors.dtype)
    metrics = {"value/error": errors.detach(), "value/clipped": clipped.detach()}
    return Term(worst / 2, mask, metrics=metrics)
