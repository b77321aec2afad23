"""Chunks of logits: what log-probabilities, entropies and divergences over the vocabulary are made of.

Only positions that predict a trained token come here, a chunk at a time: a chunk's logits are made, read and thrown
away, and made again in the backward pass. The largest thing alive is [chunk, vocab], or, where that is less than
`kept_rows` allows, the probabilities of all of them, which then need not be made again.
"""

from __future__ import annotations

import weakref
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from truing.models.products import product, weight_gradient

__all__ = ["Form", "Gradients", "buffer_for", "chunk_rows", "chunks", "columns_of", "kept_rows", "lent", "logits_of"]


def chunk_rows(device: torch.device, vocabulary: int) -> int:
    """Rows whose logits are few megabytes on a CPU, and fill the machine elsewhere; enough for an efficient product."""
    numbers = 2**21 if device.type == "cpu" else 2**27
    return max(128, numbers // vocabulary)


def kept_rows(device: torch.device, vocabulary: int) -> int:
    """Rows whose probabilities may lie in memory from the forward to the backward pass: 128 MB on a CPU."""
    return (2**25 if device.type == "cpu" else 2**27) // vocabulary


def chunks(size: int, chunk: int) -> list[slice]:
    """`size` things in parts of `chunk`, the last of what is left."""
    return [slice(start, min(start + chunk, size)) for start in range(0, size, chunk)]


def columns_of(num_rows: int, vocabulary: int, rows: int) -> list[slice]:
    """The vocabulary in parts, so that `num_rows` by one of them is no more than `rows` rows of all of it."""
    return chunks(vocabulary, max(1, rows * vocabulary // max(1, num_rows)))


@dataclass(frozen=True, slots=True)
class Form:
    """x = outer·f(inner·(h·Wᵀ + b)), f = tanh with a soft cap, else the identity and outer = 1."""

    inner: float
    outer: float
    capped: bool

    @classmethod
    def of(cls, scale: float, softcap: float | None, temperature: float) -> Form:
        assert temperature > 0, f"temperature {temperature}: log-probabilities need one above 0"
        if softcap is None:
            return cls(scale / temperature, 1.0, False)
        return cls(scale / softcap, softcap / temperature, True)


def _linear(hidden: Tensor, weight: Tensor, bias: Tensor | None, form: Form, out: Tensor) -> Tensor:
    """inner·(h·Wᵀ + b) [rows, V], in `out`; products in the model's precision, the rest in its."""
    if out.dtype == weight.dtype:
        product(hidden, weight, out=out)
    else:
        out.copy_(product(hidden, weight))
    if bias is not None:
        out.add_(bias)
    if form.inner != 1.0:
        out.mul_(form.inner)
    return out


def logits_of(hidden: Tensor, weight: Tensor, bias: Tensor | None, form: Form, out: Tensor) -> Tensor:
    """`Form`'s x, [rows, V], in `out`."""
    out = _linear(hidden, weight, bias, form, out)
    return out.tanh_().mul_(form.outer) if form.capped else out


def buffer_for(hidden: Tensor, weight: Tensor) -> Tensor:
    """Room for their logits, [N, V], in float32 at least."""
    dtype = torch.promote_types(hidden.dtype, torch.float32)
    return hidden.new_empty(hidden.shape[0], weight.shape[0], dtype=dtype)


_scratch: dict[tuple[torch.dtype, torch.device], tuple[Tensor, weakref.ref[Tensor] | None]] = {}


def lent(num_rows: int, vocabulary: int, like: Tensor) -> Tensor:
    """Room for [num_rows, vocabulary], of the type and on the device of `like`, while the caller holds it.

    On a CPU it is the same memory each time, unless somebody still holds it: for as many megabytes fresh from the
    system, PyTorch waits as long as for the product that fills them (0.5 ms each).
    """
    size, place = num_rows * vocabulary, (like.dtype, like.device)
    if like.device.type != "cpu":
        return like.new_empty(num_rows, vocabulary)
    room, holder = _scratch.get(place, (like.new_empty(0), None))
    if holder is not None and holder() is not None:
        return like.new_empty(num_rows, vocabulary)
    if room.numel() < size:
        _scratch.pop(place, None)  # before the larger one is made
        del room
        room = like.new_empty(size)
    handed = room[:size].view(num_rows, vocabulary)
    _scratch[place] = room, weakref.ref(handed)
    return handed


class Gradients:
    """Of hidden states, weight and bias (those that are wanted), from d loss/dx, by columns of the vocabulary.

    Columns and not rows: each row of the weight's gradient is then made once, and what is added up is the gradient of
    the hidden states, which is the smaller of the two. `by_row` [N] multiplies every d loss/dx that is added.
    """

    def __init__(
        self, ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor | None, by_row: Tensor | None = None
    ) -> None:
        wants_hidden, wants_weight, wants_bias = ctx.needs_input_grad[:3]
        self.inputs, self.form, self.by_row = (hidden, weight, bias), ctx.form, by_row
        # `inner` and `by_row` are applied to the small matrices, not to the [rows, columns] one
        self.scaled = hidden if self.form.inner == 1.0 else hidden * self.form.inner
        if by_row is not None:
            self.scaled = (self.scaled * by_row[:, None]).to(hidden.dtype)
        dtype = torch.promote_types(hidden.dtype, torch.float32)
        self.hidden = torch.zeros_like(hidden, dtype=dtype) if wants_hidden else None
        self.weight = torch.empty_like(weight) if wants_weight else None
        self.bias = torch.empty_like(bias) if wants_bias and bias is not None else None

    def add(self, columns: slice, d: Tensor, slope: Tensor | None) -> None:
        """`d` [N, columns] is used up; `slope` is what a soft cap multiplies it by, short of `outer`."""
        weight = self.inputs[1]
        if slope is not None:
            d.mul_(slope.mul_(self.form.outer))
        d_low = d.to(weight.dtype)
        if self.hidden is not None:
            self.hidden.add_(product(d_low, weight[columns].t()))
        if self.weight is not None:
            weight_gradient(d_low, self.scaled, out=self.weight[columns])
        if self.bias is not None:
            ones = self.by_row if self.by_row is not None else d.new_ones(d.shape[0])
            self.bias[columns] = torch.mv(d.t(), ones.to(d.dtype)).mul_(self.form.inner)

    def found(self) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        if self.hidden is not None:
            if self.by_row is not None:
                self.hidden.mul_(self.by_row[:, None])
            self.hidden = self.hidden.mul_(self.form.inner).to(self.inputs[0].dtype)
        return self.hidden, self.weight, self.bias
