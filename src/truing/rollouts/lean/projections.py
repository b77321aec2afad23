"""Linear layers of one input as one product, with the weights in the order in which the processor reads them.

A product of few rows spends most of its time on bringing the weights into the kernel's order. `packed` does that once
for a call of `generate`: at 8 rows a product then takes half the time, at 128 nine tenths. The copy can go stale, so
it belongs to an engine, which lives between two updates, and it is bounded, whatever the size of the model.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from truing.models.products import linear, onednn_is_faster

__all__ = ["Linear", "Projection"]

_ROWS = 64  # what the order is chosen for; it is the same for all numbers of rows but one


@dataclass(frozen=True, slots=True)
class Linear:
    """A layer's live weight [out, in], its bias [out], and its LoRA: A [r, in], B [out, r], scaling."""

    weight: Tensor
    bias: Tensor | None
    lora: tuple[tuple[Tensor, Tensor, float], ...] = ()

    def __call__(self, x: Tensor) -> Tensor:
        # A single row is a matrix by a vector, which every library does at the speed of the memory.
        return F.linear(x, self.weight, self.bias) if x.shape[0] == 1 else linear(x, self.weight, self.bias)

    def adapt(self, out: Tensor, x: Tensor) -> None:
        """Adds LoRA's part to `out`: the two thin products that it is in training, so that both round alike."""
        for a, b, scaling in self.lora:
            out.add_((F.linear(F.linear(x.to(a.dtype), a), b) * scaling).to(out.dtype))


@dataclass(frozen=True, slots=True)
class Projection:
    """One layer, or several of the same input side by side: x [rows, in] -> [rows, sum of outs], a new tensor."""

    parts: tuple[Linear, ...]
    copy: Tensor | None = None
    """The weights of all parts, packed; opaque."""
    biases: Tensor | None = None

    def __call__(self, x: Tensor) -> Tensor:
        if self.copy is not None and x.shape[0] > 1:
            out: Tensor = torch.ops.mkldnn._linear_pointwise(x, self.copy, self.biases, "none", [], "")
        elif len(self.parts) == 1:
            out = self.parts[0](x)
        else:
            out = torch.cat([part(x) for part in self.parts], -1)
        if any(part.lora for part in self.parts):
            for part, columns in zip(self.parts, out.split_with_sizes(self.widths, -1), strict=True):
                part.adapt(columns, x)
        return out

    @property
    def widths(self) -> list[int]:
        """How many outputs each part has."""
        return [part.weight.shape[0] for part in self.parts]

    @property
    def num_bytes(self) -> int:
        """Size of the weights."""
        return sum(part.weight.nbytes for part in self.parts)

    def packed(self) -> Projection:
        """The same with a packed copy of the weights as they are now, where a packed product is faster."""
        weights = [part.weight.detach() for part in self.parts]
        if weights[0].device.type != "cpu" or weights[0].dtype != torch.float32 or not onednn_is_faster():
            return self
        with torch.inference_mode():
            joint = weights[0] if len(weights) == 1 else torch.cat(weights)
            copy = torch.ops.mkldnn._reorder_linear_weight(joint, _ROWS)
            biases = None
            if any(part.bias is not None for part in self.parts):
                pieces = ((part.bias, part.weight) for part in self.parts)
                biases = torch.cat([w.new_zeros(w.shape[0]) if b is None else b.detach() for b, w in pieces])
        return replace(self, copy=copy, biases=biases)
