"""The cache in PyTorch's operations, for any device and type.

suffix     keys and values of response tokens, written in place, a row's next to one another: they are read from memory
           at every step, and this way from few places
prompts    each prompt's once; the rows of a prompt are its queries
attention  to the suffix and to the prompt, merged by their log-sum-exps
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from truing.rollouts.lean.attention import Rotary, attention, merge
from truing.rollouts.lean.cache import zeros
from truing.rollouts.lean.prompts import Prompts
from truing.rollouts.lean.weights import Layer, Weights

__all__ = ["PlainCache"]


class PlainCache:
    """See `Cache`. In shapes: N rows, K key heads, R query heads for each, D size."""

    def __init__(self, weights: Weights, cos: Tensor, sin: Tensor, *, max_rows: int, max_new_tokens: int) -> None:
        w = self.weights = weights
        self.device, self.dtype = w.embedding.device, w.embedding.dtype
        self.ratio, self.scale = w.num_heads // w.num_kv_heads, w.head_size**-0.5
        self.rotary = Rotary.table(cos, sin)
        shape = (len(w.layers), max_rows, max_new_tokens, 2, w.num_kv_heads, w.head_size)
        self.suffix = zeros(shape, self.dtype, self.device)  # what a mask hides must be finite
        self.prompts = Prompts(self.scale, self.device)
        self.starts = torch.empty(0, dtype=torch.long, device=self.device)  # [N]

    def turn(self, layer: Layer, heads: Tensor, positions: Tensor) -> None:
        self._turn(layer, heads, self.rotary.at(positions))

    def _turn(self, layer: Layer, heads: Tensor, rotary: Rotary) -> None:
        queries, keys = self.weights.num_heads, self.weights.num_kv_heads
        if layer.q_norm is not None and layer.k_norm is not None:
            q, k = heads[:, :queries], heads[:, queries : queries + keys]
            q.copy_(layer.q_norm(q))
            k.copy_(layer.k_norm(k))
        rotary.turn(heads[:, : queries + keys])

    def open(self, group: int, store: Tensor) -> None:
        self.prompts.add(group, store)

    def close(self, group: int) -> None:
        del self.prompts.groups[group]

    def arrange(self, group_of: Sequence[int]) -> None:
        self.prompts.arrange(group_of)
        self.starts = torch.tensor(self.prompts.lengths(group_of), device=self.device)

    def move(self, source: Sequence[int], target: Sequence[int], used: int) -> None:
        self.suffix[:, target, :used] = self.suffix[:, source, :used]

    def begin(self, ages: Sequence[int]) -> None:
        n, longest = len(ages), max(ages) + 1
        self.ages = torch.tensor(ages, device=self.device)
        self.here = self.rotary.at(self.starts + self.ages)
        self.rows = torch.arange(n, device=self.device)
        self.even, self.mask = min(ages) + 1 == longest, None
        if not self.even:
            late = torch.arange(longest, device=self.device) > self.ages[:, None]
            mask = torch.zeros(n, longest, dtype=self.dtype, device=self.device).masked_fill_(late, -torch.inf)
            self.mask = mask[:, None, None]
        suffix = self.suffix[:, :n, :longest]
        self.newest = suffix[:, :, -1].unbind()  # [N, 2, K, D]
        keys, values = suffix.permute(3, 0, 1, 4, 2, 5)  # [layers, N, K, T, D]
        self.keys, self.values = keys.unbind(), values.unbind()

    def attend(self, number: int, layer: Layer, heads: Tensor) -> Tensor:
        n, kv_heads, size = len(self.rows), self.weights.num_kv_heads, self.weights.head_size
        self._turn(layer, heads, self.here)
        q, kv = heads.split_with_sizes((self.weights.num_heads, 2 * kv_heads), 1)
        kv = kv.view(n, 2, kv_heads, size)
        if self.even:
            self.newest[number].copy_(kv)
        else:
            self.suffix[number, self.rows, self.ages] = kv
        q = q.view(n, kv_heads, self.ratio, size)
        out, weight = attention(q, self.keys[number], self.values[number], self.mask, self.scale)
        to_prompt, its_weight = self.prompts.attend(q.transpose(1, 2).contiguous(), number)
        attended = q.new_empty(n, kv_heads, self.ratio, size)
        merge(out.transpose(1, 2), weight.transpose(1, 2), to_prompt, its_weight, attended.transpose(1, 2))
        return attended.view(n, -1)
