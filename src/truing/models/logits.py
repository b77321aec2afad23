"""Chunks of logits: what log-probabilities, entropies and divergences over the vocabulary are made of.

Only positions that predict a trained token come here, a chunk at a time: a chunk's logits are made, read and thrown
away, and made again in the backward pass. The largest thing alive is [chunk, vocab].
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from truing.models.products import onednn_is_faster, product, weight_gradient

__all__ = ["Form", "Gradients", "buffer_for", "chunk_rows", "chunks", "columns_of", "logits_of"]


def chunk_rows(device: torch.device, vocabulary: int) -> int:
    """Rows whose logits stay in cache on a CPU, and fill the machine elsewhere."""
    numbers = 2**22 if device.type == "cpu" else 2**27
    return max(64, numbers // vocabulary)


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
    """inner·(h·Wᵀ + b) [rows, V], in `out` if that saves a pass; products in the model's precision, the rest in its."""
    if out.dtype != weight.dtype:
        out.copy_(product(hidden, weight))
    elif onednn_is_faster():
        out = product(hidden, weight)
    else:
        torch.mm(hidden, weight.t(), out=out)
    if bias is not None:
        out.add_(bias)
    if form.inner != 1.0:
        out.mul_(form.inner)
    return out


def logits_of(hidden: Tensor, weight: Tensor, bias: Tensor | None, form: Form, out: Tensor) -> Tensor:
    """`Form`'s x, [rows, V]: a new tensor or `out`, for the caller to do with as it likes."""
    out = _linear(hidden, weight, bias, form, out)
    return out.tanh_().mul_(form.outer) if form.capped else out


def buffer_for(hidden: Tensor, weight: Tensor) -> Tensor:
    """Room for their logits, [N, V], in float32 at least."""
    dtype = torch.promote_types(hidden.dtype, torch.float32)
    return hidden.new_empty(hidden.shape[0], weight.shape[0], dtype=dtype)


class Gradients:
    """Of hidden states, weight and bias (those that are wanted), from d loss/dx, by columns of the vocabulary.

    Columns and not rows: each row of the weight's gradient is then made once, and what is added up is the gradient of
    the hidden states, which is the smaller of the two.
    """

    def __init__(self, ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor | None) -> None:
        wants_hidden, wants_weight, wants_bias = ctx.needs_input_grad[:3]
        self.inputs, self.form = (hidden, weight, bias), ctx.form
        # `inner` is applied to the small matrices, not to the [rows, columns] one
        self.scaled = hidden if self.form.inner == 1.0 else hidden * self.form.inner
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
            self.weight[columns] = weight_gradient(d_low, self.scaled)
        if self.bias is not None:
            self.bias[columns] = d.sum(0).mul_(self.form.inner)

    def found(self) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        if self.hidden is not None:
            self.hidden = self.hidden.mul_(self.form.inner).to(self.inputs[0].dtype)
        return self.hidden, self.weight, self.bias
