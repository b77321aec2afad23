"""Prompts' keys and values, each prompt's once, and the attention of rows to them.

Prompts of like length form a block, whose queries are the rows of its prompts, so that one call of the kernel serves
many prompts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from truing.rollouts.lean.attention import attention

__all__ = ["Prompts"]

_BLOCK_WASTE = 2000  # a further block costs a layer as much as this many padded row-tokens (35 µs, CPU, 64-wide heads)


@dataclass(slots=True)
class _Prompt:
    """Keys and values, [layers, 2, heads, tokens, size] (a view into a block)."""

    store: Tensor
    num_tokens: int


@dataclass(slots=True)
class _Block:
    """Prompts of like length with their rows as queries: G prompts of at most M living rows."""

    store: Tensor  # [layers, 2, G, heads, longest, size]
    layers: list[tuple[Tensor, Tensor]]  # keys and values [G, heads, longest, size], views of `store`
    mask: Tensor | None  # [G, 1, 1, longest], -inf after a prompt's end
    rows: Tensor | None  # [G * M] which row is the query; prompts of fewer rows repeat one; None: all, in order
    width: int  # M


class Prompts:
    """By the number of their group. In shapes: N rows, K key heads, R query heads for each, D size."""

    def __init__(self, scale: float, device: torch.device) -> None:
        self.scale, self.device = scale, device
        self.groups: dict[int, _Prompt] = {}
        self.members: list[list[int]] = []  # the groups of each block
        self.blocks: list[_Block] = []
        self.inverse: Tensor | None = None  # [N] the place of each row among the blocks' queries; None: its own

    def add(self, group: int, store: Tensor) -> None:
        """Keys and values [layers, 2, heads, tokens, size], not copied."""
        self.groups[group] = _Prompt(store, store.shape[3])

    def lengths(self, group_of: Sequence[int]) -> list[int]:
        return [self.groups[group].num_tokens for group in group_of]

    def attend(self, q: Tensor, layer: int) -> tuple[Tensor, Tensor]:
        """Attention of queries [N, R, K, D] to their prompts: output [N, R, K, D], log-sum-exp [N, R, K]."""
        ratio, kv_heads, size = q.shape[1:]
        outs, weights = [], []
        for block in self.blocks:
            queries = q if block.rows is None else q.index_select(0, block.rows)
            queries = queries.view(-1, block.width * ratio, kv_heads, size).transpose(1, 2)
            keys, values = block.layers[layer]
            out, weight = attention(queries, keys, values, block.mask, self.scale)
            outs.append(out.transpose(1, 2).reshape(-1, ratio, kv_heads, size))
            weights.append(weight.transpose(1, 2).reshape(-1, ratio, kv_heads))
        out, weight = (outs[0], weights[0]) if len(outs) == 1 else (torch.cat(outs), torch.cat(weights))
        if self.inverse is None:
            return out, weight
        return out.index_select(0, self.inverse), weight.index_select(0, self.inverse)

    def arrange(self, group_of: Sequence[int]) -> None:
        """Puts the groups that have rows into blocks, and each row to its group's place."""
        rows_of: dict[int, list[int]] = {}
        for row, group in enumerate(group_of):
            rows_of.setdefault(group, []).append(row)
        stored = [g for block in self.members for g in block]
        # Groups whose rows have all ended are computed along until they are a quarter: a new block copies the rest.
        if not rows_of.keys() <= set(stored) or 4 * len(rows_of) <= 3 * len(stored):
            self._block_up(rows_of)
        blocks, inverse, offset = [], [0] * len(group_of), 0
        for block, members in zip(self.blocks, self.members, strict=True):
            width = max(len(rows_of.get(g, ())) for g in members)
            slots: list[int] = []
            for group in members:
                rows = rows_of.get(group, [])
                for place, row in enumerate(rows, offset + len(slots)):
                    inverse[row] = place
                slots += rows + [0] * (width - len(rows))
            offset += len(slots)
            if slots:
                in_order = slots == list(range(len(group_of)))
                block.rows, block.width = None if in_order else torch.tensor(slots, device=self.device), width
                blocks.append((block, members))
        self.blocks, self.members = [b for b, _ in blocks], [m for _, m in blocks]
        in_order = inverse == list(range(offset))
        self.inverse = None if in_order else torch.tensor(inverse, device=self.device)

    def _block_up(self, rows_of: dict[int, list[int]]) -> None:
        """Groups by falling length; a block ends where padding would cost more than a further block does."""
        self.members, self.blocks = [], []
        waste = 0
        for group in sorted(rows_of, key=lambda g: -self.groups[g].num_tokens):
            prompt = self.groups[group]
            if self.members:
                waste += len(rows_of[group]) * (self.groups[self.members[-1][0]].num_tokens - prompt.num_tokens)
            if not self.members or waste > _BLOCK_WASTE:
                self.members.append([])
                waste = 0
            self.members[-1].append(group)
        for members in self.members:
            prompts = [self.groups[g] for g in members]
            longest = prompts[0].num_tokens
            num_layers, two, heads, _, size = prompts[0].store.shape
            store = prompts[0].store.new_zeros(num_layers, two, len(members), heads, longest, size)
            mask = store.new_zeros(len(members), 1, 1, longest)
            for place, prompt in enumerate(prompts):
                store[:, :, place, :, : prompt.num_tokens] = prompt.store
                mask[place, ..., prompt.num_tokens :] = -torch.inf
                prompt.store = store[:, :, place, :, : prompt.num_tokens]
            even = all(prompt.num_tokens == longest for prompt in prompts)
            layers = list(zip(store[:, 0].unbind(), store[:, 1].unbind(), strict=True))
            self.blocks.append(_Block(store, layers, None if even else mask, None, 0))
