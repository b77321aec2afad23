"""Attention with its log-sum-exp, so that attentions to disjoint keys can be merged, and rotary embedding."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["attention", "merged", "rotated"]


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


def merged(out: Tensor, weight: Tensor, other: Tensor, others: Tensor) -> Tensor:
    """Attention to both of two disjoint sets of keys: outputs a, b [..., D] with log-sum-exps l, m [...] give
    a + σ(m − l)·(b − a)."""
    share = torch.sub(others, weight).sigmoid_().to(out.dtype)
    return torch.lerp(out, other, share.unsqueeze(-1))


def rotated(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary embedding of x [tokens, heads, D] by cos [tokens, 1, D] and sin [tokens, 1, D], whose first half is
    negated: the halves of a head are rotated against each other."""
    return torch.mul(x, cos).addcmul_(x.roll(x.shape[-1] // 2, -1), sin)
