"""Attention with its log-sum-exp, so that attentions to disjoint keys can be merged, and rotary embedding."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

__all__ = ["Rotary", "attention", "merge"]


def attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, scale: float) -> tuple[Tensor, Tensor]:
    """Attention and its log-sum-exp: q [B, K, M, D], k and v [B, K, T, D], mask added -> [B, K, M, D], [B, K, M]."""
    if q.device.type == "cpu":
        return _flash(q, k, v, mask, scale)
    return _plain(q, k, v, mask, scale)


def _flash(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, scale: float) -> tuple[Tensor, Tensor]:
    out, weight = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
        q, k, v, 0.0, False, attn_mask=mask, scale=scale
    )
    return out, weight


def _plain(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, scale: float) -> tuple[Tensor, Tensor]:
    """The same in products: a step has few queries, so the scores are small and reading K and V is what it costs."""
    scores = torch.matmul(q, k.transpose(-1, -2)).float() * scale
    if mask is not None:
        scores = scores + mask
    weight = scores.logsumexp(-1)
    return torch.matmul((scores - weight[..., None]).exp().to(v.dtype), v), weight


def merge(out: Tensor, weight: Tensor, other: Tensor, others: Tensor, into: Tensor) -> None:
    """Attention to both of two disjoint sets of keys: outputs a, b [..., D] with log-sum-exps l, m [...] give
    a + σ(m − l)·(b − a)."""
    share = torch.sub(others, weight).sigmoid_().to(out.dtype)
    torch.lerp(out, other, share.unsqueeze(-1), out=into)


@dataclass(frozen=True, slots=True)
class Rotary:
    """Rotary embedding: a head's two halves are turned against each other."""

    cos: Tensor  # [tokens, 1, D]
    sin: Tensor  # [tokens, 1, D], its first half negated

    @classmethod
    def table(cls, cos: Tensor, sin: Tensor) -> Rotary:
        """For every position, from cos and sin [positions, D] whose halves are alike."""
        cos, sin = cos[:, None], sin[:, None]
        half = cos.shape[-1] // 2
        return cls(cos.contiguous(), torch.cat([-sin[..., :half], sin[..., half:]], -1))

    def at(self, positions: Tensor) -> Rotary:
        """For tokens at these positions of a table."""
        return Rotary(self.cos.index_select(0, positions), self.sin.index_select(0, positions))

    def turn(self, heads: Tensor) -> None:
        """Turns heads [tokens, heads, D] in place."""
        swapped = heads.roll(heads.shape[-1] // 2, -1)
        heads.mul_(self.cos).addcmul_(swapped, self.sin)
