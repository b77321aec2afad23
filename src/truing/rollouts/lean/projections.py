"""Linear layers of one input as one product, with the weights in the order in which the processor reads them.

A product of few rows spends most of its time on bringing the weights into the kernel's order. `packed` does that once
for a call of `generate`: at 1 to 8 rows a product then takes half the time, at 128 nine tenths. The copy can go stale,
so it belongs to an engine, which lives between two updates, and it is bounded, whatever the size of the model.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import torch
import torch.nn.functional as F
from torch import Tensor

from truing.models.precision import onednn_is_faster
from truing.models.products import linear

__all__ = ["Linear", "Projection", "padded_rows"]

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
    adapted: bool = field(init=False)
    """Whether LoRA is added, which wants inputs and outputs as the model has them."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "adapted", any(part.lora for part in self.parts))

    def __call__(self, x: Tensor) -> Tensor:
        if self.copy is not None:
            out: Tensor = torch.ops.mkldnn._linear_pointwise(x, self.copy, self.biases, "none", [], "")
        elif len(self.parts) == 1:
            out = self.parts[0](x)
        else:
            out = torch.cat([part(x) for part in self.parts], -1)
        if self.adapted:
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

    @property
    def packable(self) -> bool:
        """Whether a packed product is faster."""
        weight = self.parts[0].weight
        return weight.device.type == "cpu" and weight.dtype == torch.float32 and onednn_is_faster()

    def packed(self, gain: Tensor | None = None, order: Tensor | None = None) -> Projection:
        """The same with a packed copy of the weights as they are now, if `packable`.

        Into the copy can go `gain` [in], which inputs then need not be multiplied by, and an `order` of the outputs.
        """
        assert self.packable
        assert not self.adapted or (gain is None and order is None)
        with torch.inference_mode():
            joint = self.parts[0].weight.detach()
            if len(self.parts) > 1 or gain is not None:
                joint = joint.new_empty(sum(self.widths), joint.shape[1])
                for part, rows in zip(self.parts, joint.split_with_sizes(self.widths), strict=True):
                    torch.mul(part.weight, 1.0 if gain is None else gain, out=rows)
            biases = None
            if any(part.bias is not None for part in self.parts):
                pieces = ((part.bias, part.weight) for part in self.parts)
                biases = torch.cat([w.new_zeros(w.shape[0]) if b is None else b.detach() for b, w in pieces])
            if order is not None:
                joint, biases = joint[order], None if biases is None else biases[order]
            copy = torch.ops.mkldnn._reorder_linear_weight(joint, _ROWS)
        return replace(self, copy=copy, biases=biases)


def padded_rows(num_rows: int) -> int:
    """The number of rows to compute for so many: oneDNN makes a kernel for every new number, a third of a millisecond
    for each shape of a weight, which costs more than the rows that it saves."""
    step = 1 if num_rows <= 4 else 2 if num_rows <= 8 else 4 if num_rows <= 32 else 8
    return -(-num_rows // step) * step
