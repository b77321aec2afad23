"""Rows of a Llama-shaped model, each one token further a step.

`model.generate` spends most of a small model's time outside the matrix products. Here a step is the products and
little else:

    rows        one token per living response, dense: ended ones leave at once
    cache       keys and values, a prompt's only once, and the attention of the rows to them
    in between  residual sums, norms and gates, one pass each
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from truing.models.kernels.compiler import fits
from truing.rollouts.engine import Moves
from truing.rollouts.lean.cache import Cache
from truing.rollouts.lean.compiled import CompiledCache
from truing.rollouts.lean.elementwise import add_norm, gate
from truing.rollouts.lean.plain import PlainCache
from truing.rollouts.lean.weights import Unfit, Weights

__all__ = ["LeanEngine"]

_PREFILL_TOKENS = 8192


class LeanEngine:
    """Rows of a Llama-shaped model. In shapes: N rows, K key heads, R query heads for each, D size, T tokens.

    `weights` may be packed: then they must not change while the engine lives.
    """

    def __init__(self, weights: Weights, *, max_rows: int, longest_prompt: int, max_new_tokens: int) -> None:
        w = self.weights = weights
        self.device, self.dtype = w.embedding.device, w.embedding.dtype
        self.scale = w.head_size**-0.5
        with torch.no_grad():
            positions = torch.arange(longest_prompt + max_new_tokens, device=self.device)[None]
            cos, sin = w.rotary(w.embedding[:1], positions)  # [1, T, D]: both halves alike
        if cos.shape[-1] != w.head_size:
            raise Unfit("a rotary embedding of a part of the head")
        kind = CompiledCache if fits(w.embedding) else PlainCache
        self.cache: Cache = kind(w, cos[0], sin[0], max_rows=max_rows, max_new_tokens=max_new_tokens)
        self.group_of: list[int] = []  # of each row
        self.ages: list[int] = []  # of each row, tokens in its suffix
        self.num_opened = 0
        self.stale = True  # rows or groups have changed

    @torch.inference_mode()
    def prefill(self, prompts: Sequence[list[int]]) -> tuple[list[int], Tensor]:
        numbers = list(range(self.num_opened, self.num_opened + len(prompts)))
        self.num_opened += len(prompts)
        logits, first = [], 0
        while first < len(prompts):
            end, total = first, 0
            while end < len(prompts) and (end == first or total + len(prompts[end]) <= _PREFILL_TOKENS):
                total, end = total + len(prompts[end]), end + 1
            logits.append(self._prefill(prompts[first:end], numbers[first:end]))
            first = end
        return numbers, torch.cat(logits)

    def _prefill(self, prompts: Sequence[list[int]], numbers: Sequence[int]) -> Tensor:
        """All prompts in one packed row: products over all tokens, attention prompt by prompt."""
        w, kv_heads, size = self.weights, self.weights.num_kv_heads, self.weights.head_size
        ratio = w.num_heads // kv_heads
        ends = torch.tensor([len(p) for p in prompts]).cumsum(0).tolist()
        spans = [(end - len(p), end) for p, end in zip(prompts, ends, strict=True)]
        positions = torch.tensor([i for p in prompts for i in range(len(p))], device=self.device)
        x = F.embedding(torch.tensor([t for p in prompts for t in p], device=self.device), w.embedding)
        total = x.shape[0]
        last = torch.tensor(ends, device=self.device) - 1
        stores = [x.new_empty(len(w.layers), 2, kv_heads, b - a, size) for a, b in spans]
        delta = None
        for number, layer in enumerate(w.layers):
            heads = layer.qkv(add_norm(x, delta, layer.attention_norm)).view(total, -1, size)
            self.cache.turn(layer, heads, positions)
            q, kv = heads.split_with_sizes((w.num_heads, 2 * kv_heads), 1)
            # Key heads as the batch, their query heads as heads: K and V are expanded, not repeated.
            q, kv = q.view(total, kv_heads, ratio, size), kv.view(total, 2, kv_heads, size)
            parts = []
            for (a, b), store in zip(spans, stores, strict=True):
                store[number] = kv[a:b].permute(1, 2, 0, 3)
                k, v = store[number, :, :, None].expand(2, kv_heads, ratio, b - a, size)
                queries = q[a:b].permute(1, 2, 0, 3)
                out = F.scaled_dot_product_attention(queries, k, v, is_causal=True, scale=self.scale)
                parts.append(out.permute(2, 0, 1, 3).reshape(b - a, -1))
            h = torch.cat(parts)
            if layer is w.layers[-1]:  # nobody asks for the other positions
                h, x = h[last], x[last]
            h = add_norm(x, layer.o(h), layer.mlp_norm)
            delta = layer.down(gate(layer.gate_up(h)))
        for group, store in zip(numbers, stores, strict=True):
            self.cache.open(group, store)
        self.stale = True
        return w.head(add_norm(x, delta, w.norm))

    def spawn(self, groups: Sequence[int]) -> None:
        self.group_of.extend(groups)
        self.ages.extend(0 for _ in groups)
        self.stale = True

    @torch.inference_mode()
    def step(self, tokens: Tensor) -> Tensor:
        w, n = self.weights, tokens.shape[0]
        if self.stale:
            self.cache.arrange(self.group_of)
            self.stale = False
        self.cache.begin(self.ages)
        x, delta = F.embedding(tokens, w.embedding), None
        for number, layer in enumerate(w.layers):
            heads = layer.qkv(add_norm(x, delta, layer.attention_norm)).view(n, -1, w.head_size)
            h = add_norm(x, layer.o(self.cache.attend(number, layer, heads)), layer.mlp_norm)
            delta = layer.down(gate(layer.gate_up(h)))
        self.ages = [age + 1 for age in self.ages]
        return w.head(add_norm(x, delta, w.norm))

    @torch.inference_mode()
    def move(self, moves: Moves) -> None:
        if moves.source:
            self.cache.move(moves.source, moves.target, max(self.ages[i] for i in moves.source))
        for source, target in zip(moves.source, moves.target, strict=True):
            self.group_of[target], self.ages[target] = self.group_of[source], self.ages[source]
        del self.group_of[moves.left :], self.ages[moves.left :]
        self.stale = True

    def close(self, group: int) -> None:
        self.cache.close(group)
        self.stale = True
