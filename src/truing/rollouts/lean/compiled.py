"""The cache for float32 on a CPU: compiled loops, one a layer, without masks, copies or padding.

suffix   a head's keys next to one another, room for the longest response; memory is taken page by page
prompts  each prompt's as it came from the prefill, found by its address
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import torch
from torch import Tensor

from truing.models.kernels.compiler import spread
from truing.rollouts.lean import kernels
from truing.rollouts.lean.cache import zeros
from truing.rollouts.lean.elementwise import GRAIN
from truing.rollouts.lean.weights import Layer, Weights

__all__ = ["CompiledCache"]


class CompiledCache:
    """See `Cache`."""

    def __init__(self, weights: Weights, cos: Tensor, sin: Tensor, *, max_rows: int, max_new_tokens: int) -> None:
        w = self.weights = weights
        half = w.head_size // 2
        self.cos, self.sin = (np.ascontiguousarray(table[:, :half].numpy()) for table in (cos, sin))
        self.scale = np.float32(w.head_size**-0.5)
        shape = (len(w.layers), max_rows, 2, w.num_kv_heads, max_new_tokens, w.head_size)
        self.suffix = zeros(shape, torch.float32, torch.device("cpu")).numpy()
        self.stores: dict[int, Tensor] = {}  # by group, [layers, 2, K, tokens, D]
        none = np.empty(0, np.int64)
        self.addresses, self.lengths, self.order, self.ages = none.astype(np.uintp), none, none, none

    def turn(self, layer: Layer, heads: Tensor, positions: Tensor) -> None:
        self._turn(layer, heads.numpy(), positions.numpy())

    def _turn(self, layer: Layer, heads: kernels.Array, positions: kernels.Indices) -> None:
        queries, keys = self.weights.num_heads, self.weights.num_kv_heads
        for norm, begin, end in ((layer.q_norm, 0, queries), (layer.k_norm, queries, queries + keys)):
            if norm is not None:
                kernels.norm_heads(heads, begin, end, norm.array, np.float32(norm.eps))
        kernels.turn(heads, self.cos, self.sin, positions, queries + keys)

    def open(self, group: int, store: Tensor) -> None:
        self.stores[group] = store.contiguous()

    def close(self, group: int) -> None:
        del self.stores[group]

    def arrange(self, group_of: Sequence[int]) -> None:
        stores = [self.stores[group] for group in group_of]
        self.addresses = np.array([store.data_ptr() for store in stores], np.uintp)
        self.lengths = np.array([store.shape[3] for store in stores])
        self.order = np.argsort(self.addresses, kind="stable")  # the rows of a prompt one after the other

    def move(self, source: Sequence[int], target: Sequence[int], used: int) -> None:
        for a, b in zip(source, target, strict=True):
            self.suffix[:, b, :, :, :used] = self.suffix[:, a, :, :, :used]

    def begin(self, ages: Sequence[int]) -> None:
        self.ages = np.array(ages)
        self.positions = self.lengths + self.ages
        keys = int(self.positions.sum()) // len(ages) * self.weights.num_heads
        self.at_least = GRAIN // (5 * keys + 1)  # a key takes five times as long as a number

    def attend(self, number: int, layer: Layer, heads: Tensor) -> Tensor:
        n, queries, rows = len(self.ages), self.weights.num_heads, heads.numpy()
        self._turn(layer, rows, self.positions)
        kernels.place(rows, queries, self.suffix[number], self.ages)
        out = torch.empty(n, queries * self.weights.head_size)
        spread(
            kernels.attend, rows, self.suffix[number], number, self.ages, self.addresses, self.lengths, self.order,
            self.scale, out.numpy().reshape(n, queries, -1), count=n, at_least=self.at_least,
        )  # fmt: skip
        return out
