"""Rows of a Llama-shaped model, each one token further a step.

`model.generate` spends most of a small model's time outside the matrix products. Here a step is the products and
little else:

    rows       one token per living response, dense: ended ones leave at once
    suffix     keys and values of response tokens, written in place, a row's next to one another: they are read from
               memory at every step, and this way from few places
    prompts    each prompt's once; the rows of a prompt are its queries
    attention  to the suffix and to the prompt, merged by their log-sum-exps
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from truing.rollouts.engine import Moves
from truing.rollouts.lean.attention import Rotary, attention, merge
from truing.rollouts.lean.projections import padded_rows
from truing.rollouts.lean.prompts import Prompts
from truing.rollouts.lean.weights import Layer, Unfit, Weights

__all__ = ["LeanEngine"]

_PREFILL_TOKENS = 8192


class LeanEngine:
    """Rows of a Llama-shaped model. In shapes: N rows, K key heads, R query heads for each, D size, T tokens.

    `weights` may be packed: then they must not change while the engine lives.
    """

    def __init__(self, weights: Weights, *, max_rows: int, longest_prompt: int, max_new_tokens: int) -> None:
        w = self.weights = weights
        self.device, self.dtype = w.embedding.device, w.embedding.dtype
        self.ratio = w.num_heads // w.num_kv_heads
        self.scale = w.head_size**-0.5
        with torch.no_grad():
            positions = torch.arange(longest_prompt + max_new_tokens, device=self.device)[None]
            cos, sin = w.rotary(w.embedding[:1], positions)  # [1, T, D]: both halves alike
        if cos.shape[-1] != w.head_size:
            raise Unfit("a rotary embedding of a part of the head")
        self.rotary = Rotary.table(cos[0], sin[0])
        shape = (len(w.layers), max_rows, max_new_tokens, 2, w.num_kv_heads, w.head_size)
        self.suffix = _zeros(shape, self.dtype, self.device)  # what a mask hides must be finite
        self.padded = padded_rows if w.head.packable else int
        # Attention's output; what lies behind the last row is multiplied along and must be finite too.
        self.attended = w.embedding.new_zeros(padded_rows(max_rows), w.num_heads * w.head_size)
        self.prompts = Prompts(self.scale, self.device)
        self.group_of: list[int] = []  # of each row
        self.ages: list[int] = []  # of each row, tokens in its suffix
        self.starts = torch.empty(0, dtype=torch.long, device=self.device)  # of each row (padded), tokens in its prompt
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
        w, kv_heads, ratio, size = self.weights, self.weights.num_kv_heads, self.ratio, self.weights.head_size
        ends = torch.tensor([len(p) for p in prompts]).cumsum(0).tolist()
        spans = [(end - len(p), end) for p, end in zip(prompts, ends, strict=True)]
        positions = torch.tensor([i for p in prompts for i in range(len(p))], device=self.device)
        rotary = self.rotary.at(positions)
        x = F.embedding(torch.tensor([t for p in prompts for t in p], device=self.device), w.embedding)
        total = x.shape[0]
        last = torch.tensor(ends, device=self.device) - 1
        store = x.new_empty(len(w.layers), 2, kv_heads, total, size)
        for layer, (keys, values) in zip(w.layers, store, strict=True):
            q, kv = self._queries_keys_values(layer, x, rotary)
            keys.copy_(kv[:, 0].transpose(0, 1))
            values.copy_(kv[:, 1].transpose(0, 1))
            # Key heads as the batch, their query heads as heads: K and V are expanded, not repeated.
            queries = q.permute(1, 2, 0, 3)
            parts = []
            for a, b in spans:
                k, v = (y[:, None, a:b].expand(kv_heads, ratio, b - a, size) for y in (keys, values))
                out = F.scaled_dot_product_attention(queries[:, :, a:b], k, v, is_causal=True, scale=self.scale)
                parts.append(out.permute(2, 0, 1, 3).reshape(b - a, -1))
            h = torch.cat(parts)
            if layer is w.layers[-1]:  # nobody asks for the other positions
                h, x = h[last], x[last]
            x = self._mlp(layer, layer.o(h).add_(x))
        for number, (a, b) in zip(numbers, spans, strict=True):
            self.prompts.add(number, store[:, :, :, a:b])
        self.stale = True
        return w.head(w.norm(x))

    def spawn(self, groups: Sequence[int]) -> None:
        self.group_of.extend(groups)
        self.ages.extend(0 for _ in groups)
        self.stale = True

    @torch.inference_mode()
    def step(self, tokens: Tensor) -> Tensor:
        if self.stale:
            self._arrange()
        w, n = self.weights, tokens.shape[0]
        longest, even = max(self.ages) + 1, min(self.ages) == max(self.ages)
        ages = torch.tensor(self.ages, device=self.device)
        positions, mask = self.starts.clone(), None
        positions[:n] += ages
        rotary = self.rotary.at(positions)
        rows = torch.arange(n, device=self.device)
        if not even:
            late = torch.arange(longest, device=self.device) > ages[:, None]
            mask = torch.zeros(n, longest, dtype=self.dtype, device=self.device).masked_fill_(late, -torch.inf)
            mask = mask[:, None, None]
        suffix = self.suffix[:, :n, :longest]
        newest = suffix[:, :, -1].unbind()  # [N, 2, K, D]
        keys, values = suffix.permute(3, 0, 1, 4, 2, 5)  # [layers, N, K, T, D]
        attended = self.attended[: len(positions)]
        into = attended[:n].view(n, w.num_kv_heads, self.ratio, w.head_size).transpose(1, 2)
        x = F.embedding(F.pad(tokens, (0, len(positions) - n)), w.embedding)
        for number, (layer, k, v) in enumerate(zip(w.layers, keys.unbind(), values.unbind(), strict=True)):
            q, kv = self._queries_keys_values(layer, x, rotary)
            if n < x.shape[0]:
                q, kv = q[:n], kv[:n]
            if even:
                newest[number].copy_(kv)
            else:
                suffix[number, rows, ages] = kv
            out, weight = attention(q, k, v, mask, self.scale)
            to_prompt, its_weight = self.prompts.attend(q.transpose(1, 2).contiguous(), number)
            merge(out.transpose(1, 2), weight.transpose(1, 2), to_prompt, its_weight, into)  # [N, R, K, D]
            x = layer.o(attended).add_(x)
            x = self._mlp(layer, x)
        self.ages = [age + 1 for age in self.ages]
        return w.head(w.norm(x))[:n]

    @torch.inference_mode()
    def move(self, moves: Moves) -> None:
        if moves.source:
            used = max(self.ages[i] for i in moves.source)
            self.suffix[:, moves.target, :used] = self.suffix[:, moves.source, :used]
        for source, target in zip(moves.source, moves.target, strict=True):
            self.group_of[target], self.ages[target] = self.group_of[source], self.ages[source]
        del self.group_of[moves.left :], self.ages[moves.left :]
        self.stale = True

    def close(self, group: int) -> None:
        del self.prompts.groups[group]
        self.stale = True

    def _arrange(self) -> None:
        self.prompts.arrange(self.group_of)
        lengths = self.prompts.lengths(self.group_of)
        self.starts = torch.tensor(lengths + [0] * (self.padded(len(lengths)) - len(lengths)), device=self.device)
        self.stale = False

    def _queries_keys_values(self, layer: Layer, x: Tensor, rotary: Rotary) -> tuple[Tensor, Tensor]:
        """Of x [T, hidden]: queries [T, K, R, D], and keys and values [T, 2, K, D]; queries and keys are turned."""
        w, total, turned = self.weights, x.shape[0], self.weights.num_heads + self.weights.num_kv_heads
        heads = layer.qkv(layer.attention_norm(x)).view(total, -1, w.head_size)
        q, kv = heads.split_with_sizes((w.num_heads, 2 * w.num_kv_heads), 1)
        if layer.q_norm is not None and layer.k_norm is not None:
            k = kv[:, : w.num_kv_heads]
            q.copy_(layer.q_norm(q))
            k.copy_(layer.k_norm(k))
        rotary.turn(heads.narrow(1, 0, turned), layer.paired)
        kv = kv.view(total, 2, w.num_kv_heads, w.head_size)
        return q.view(total, w.num_kv_heads, self.ratio, w.head_size), kv

    def _mlp(self, layer: Layer, x: Tensor) -> Tensor:
        gate, up = layer.gate_up(layer.mlp_norm(x)).chunk(2, -1)
        return layer.down(F.silu(gate).mul_(up)).add_(x)


def _zeros(shape: tuple[int, ...], dtype: torch.dtype, device: torch.device) -> Tensor:
    """`torch.zeros`; on a CPU in large pages and handed out as it is first used: most rows end before their room."""
    if device.type != "cpu":
        return torch.zeros(shape, dtype=dtype, device=device)
    num_bytes = torch.Size(shape).numel() * dtype.itemsize
    return torch.from_numpy(np.zeros(num_bytes, np.uint8)).view(dtype).view(shape)
