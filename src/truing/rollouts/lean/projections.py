"""Linear layers of one input as one product, with the weights in the order in which the processor reads them.

Bringing weights into a kernel's order, and waiting for them, is most of a product of few rows. `packed` orders them
once for a call of `generate` (`kernels.product`). The copy can go stale, so it belongs to an engine, which lives
between two updates, and it is bounded, whatever the size of the model.
"""

from __future__ import annotations

from dataclasses import dataclass, field, replace

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from truing.models.kernels.compiler import Array, fits, spread
from truing.models.kernels.product import PANEL, multiply, pack
from truing.models.products import linear

__all__ = ["Linear", "Projection"]

_WORTH = 200_000  # so many multiplications are worth waking a thread up for


@dataclass(frozen=True, slots=True)
class Packed:
    """The weights of all parts as they were, and their biases."""

    weights: Array  # [panels, in, PANEL]
    biases: Array  # [panels · PANEL]
    num_outputs: int

    def __call__(self, x: Tensor) -> Tensor:
        panels, depth, _ = self.weights.shape
        out = torch.empty(x.shape[0], panels * PANEL)
        at_least = _WORTH // (x.shape[0] * depth * PANEL) + 1
        spread(multiply, x.numpy(), self.weights, self.biases, out.numpy(), count=panels, at_least=at_least)
        return out if out.shape[1] == self.num_outputs else out[:, : self.num_outputs].contiguous()


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
    copy: Packed | None = None
    adapted: bool = field(init=False)
    """Whether LoRA is added, which wants inputs and outputs as the model has them."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "adapted", any(part.lora for part in self.parts))

    def __call__(self, x: Tensor) -> Tensor:
        if self.copy is not None:
            out = self.copy(x)
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
        return all(fits(part.weight) for part in self.parts)

    def packed(self) -> Projection:
        """The same with a packed copy of the weights as they are now, if `packable`."""
        assert self.packable
        panels = -(-sum(self.widths) // PANEL)
        weights = np.empty((panels, self.parts[0].weight.shape[1], PANEL), np.float32)
        weights[-1] = 0  # what is behind the last output
        biases = np.zeros(panels * PANEL, np.float32)
        begin = 0
        for part, width in zip(self.parts, self.widths, strict=True):
            pack(part.weight.detach().contiguous().numpy(), begin, weights)
            if part.bias is not None:
                biases[begin : begin + width] = part.bias.detach().numpy()
            begin += width
        return replace(self, copy=Packed(weights, biases, begin))
