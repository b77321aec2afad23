"""What advantages that differ from token to token have in common. A row's tokens are those under its mask."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["estimated", "moments", "to_go", "whitened"]


def to_go(rewards: Tensor, mask: Tensor, gamma: float) -> Tensor:
    """[rows, tokens]: Σ over this and later tokens of gamma^distance · reward; 0 outside the mask."""
    return estimated(rewards, torch.zeros_like(rewards), mask, gamma, 1.0)


def estimated(rewards: Tensor, values: Tensor, mask: Tensor, gamma: float, lam: float) -> Tensor:
    """[rows, tokens]: A_t = δ_t + gamma·lam·A_{t+1}, δ_t = r_t + gamma·V_{t+1} − V_t, V = 0 after the last token.

    Tokens outside the mask are passed over: the next token is the next one that is trained on.
    """
    assert rewards.shape == values.shape == mask.shape
    out = torch.zeros_like(rewards)
    running, following = rewards.new_zeros(len(rewards)), rewards.new_zeros(len(rewards))
    for t in reversed(range(rewards.shape[1])):
        inside = mask[:, t]
        delta = rewards[:, t] + gamma * following - values[:, t]
        running = torch.where(inside, delta + gamma * lam * running, running)
        following = torch.where(inside, values[:, t], following)
        out[:, t] = torch.where(inside, running, 0.0)
    return out


def moments(values: Tensor, mask: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and standard deviation (of the population, 1/n) under the mask."""
    inside = values[mask].double()
    if not inside.numel():
        return values.new_zeros(()).double(), values.new_zeros(()).double()
    return inside.mean(), inside.std(correction=0)


def whitened(values: Tensor, mask: Tensor, *, shift: bool = True, epsilon: float = 1e-8) -> Tensor:
    """(x − mean) / √(var + epsilon) under the mask, 0 elsewhere; with `shift` off the mean is put back.

    Where the values do not differ at all they are 0 (or, with `shift` off, stay what they are).
    """
    mean, std = moments(values, mask)
    if std == 0:
        return torch.zeros_like(values) if shift else values.masked_fill(~mask, 0.0)
    out = (values.double() - mean) / (std**2 + epsilon).sqrt()
    return (out if shift else out + mean).masked_fill(~mask, 0.0).to(values.dtype)
