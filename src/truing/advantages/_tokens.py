"""What advantages that differ from token to token have in common. A row's tokens are those under its mask."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

__all__ = ["estimated", "moments", "to_go", "whitened"]

_BLOCK = 64


def to_go(rewards: Tensor, mask: Tensor, gamma: float) -> Tensor:
    """[rows, tokens]: Σ over this and later tokens of gamma^distance · reward; 0 outside the mask."""
    return estimated(rewards, torch.zeros_like(rewards), mask, gamma, 1.0)


def estimated(rewards: Tensor, values: Tensor, mask: Tensor, gamma: float, lam: float) -> Tensor:
    """[rows, tokens]: A_t = δ_t + gamma·lam·A_{t+1}, δ_t = r_t + gamma·V_{t+1} − V_t, V = 0 after the last token.

    Tokens outside the mask are passed over: the next token is the next one that is trained on. Summed in float64.
    """
    assert rewards.shape == values.shape == mask.shape
    rows, _ = mask.nonzero(as_tuple=True)
    places = (mask.cumsum(1) - 1)[mask]  # without the gaps
    longest = int(mask.sum(1).max()) if mask.numel() else 0

    def close(x: Tensor) -> Tensor:
        """[rows, longest + 1]: the trained tokens of a row side by side, 0 after them."""
        return x.new_zeros(len(mask), longest + 1, dtype=torch.float64).index_put((rows, places), x[mask].double())

    before = close(values)
    deltas = close(rewards)[:, :-1] + gamma * before[:, 1:] - before[:, :-1]
    out = torch.zeros_like(rewards)
    out[mask] = _discounted(deltas, gamma * lam)[rows, places].to(out.dtype)
    return out


def _discounted(x: Tensor, share: float) -> Tensor:
    """[rows, tokens]: Σ over this and later tokens of share^distance · x.

    In blocks: inside each a product with the matrix of powers, then block by block from the end what follows it.
    """
    num_rows, size = x.shape
    number = -(-size // _BLOCK)
    blocks = F.pad(x, (0, number * _BLOCK - size)).view(num_rows, number, _BLOCK)
    distances = torch.arange(_BLOCK, device=x.device)
    powers = torch.pow(share, distances.to(x.dtype))
    ahead = distances[:, None] - distances  # [token that is added, token that it is added to]
    inside = blocks @ (powers[ahead.clamp(min=0)] * (ahead >= 0))
    following = torch.zeros_like(inside[:, :, :1])
    for block in reversed(range(number - 1)):
        following[:, block] = inside[:, block + 1, :1] + share**_BLOCK * following[:, block + 1]
    return (inside + following * (share * powers.flip(0))).view(num_rows, number * _BLOCK)[:, :size]


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
