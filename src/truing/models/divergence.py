"""What whole distributions over the vocabulary say, from hidden states and chunk by chunk (`logits.py`).

The KL divergence from a reference, and the probability that two draws agree.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from truing.models.logits import Form, Gradients, buffer_for, chunk_rows, chunks, columns_of, logits_of

__all__ = ["collision_logprobs", "token_kl"]


def token_kl(
    hidden: Tensor,
    weight: Tensor,
    ref_hidden: Tensor,
    ref_weight: Tensor,
    *,
    bias: Tensor | None = None,
    ref_bias: Tensor | None = None,
    scale: tuple[float, float] = (1.0, 1.0),
    softcap: tuple[float | None, float | None] = (None, None),
    temperature: float = 1.0,
    chunk: int | None = None,
) -> Tensor:
    """KL(softmax(y) ‖ softmax(x)) per row, over the whole vocabulary, x as in `token_logprobs` and y that of the
    reference.

    hidden [N, H], weight [V, H], ref_hidden [N, H'], ref_weight [V, H'] -> [N] nats, in float32 at least.
    Differentiable with respect to hidden, weight and bias, and to nothing of the reference: dKL/dx = softmax(x) −
    softmax(y). `scale` and `softcap` are the policy's and the reference's.
    """
    forms = (Form.of(scale[0], softcap[0], temperature), Form.of(scale[1], softcap[1], temperature))
    device = hidden.device.type
    tensors = (hidden, weight, bias, ref_hidden, ref_weight, ref_bias)
    if torch.is_autocast_enabled(device):
        dtype = torch.get_autocast_dtype(device)
        tensors = tuple(None if t is None else t.to(dtype) for t in tensors)  # type: ignore[assignment]
    with torch.autocast(device, enabled=False):
        kl: Tensor = _KL.apply(*tensors, *forms, chunk or chunk_rows(hidden.device, weight.shape[0]))  # type: ignore[no-untyped-call]
    return kl


class _KL(torch.autograd.Function):
    """Saves [N] log-sum-exps of policy and reference; the logits of both are made again in the backward pass."""

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        ref_hidden: Tensor,
        ref_weight: Tensor,
        ref_bias: Tensor | None,
        form: Form,
        ref_form: Form,
        chunk: int,
    ) -> Tensor:
        buffers = buffer_for(hidden[:chunk], weight), buffer_for(ref_hidden[:chunk], ref_weight)
        kl, lse = (buffers[0].new_empty(hidden.shape[0]) for _ in range(2))
        ref_lse = buffers[1].new_empty(hidden.shape[0])
        for rows in chunks(hidden.shape[0], chunk):
            x, y = (buffer[: rows.stop - rows.start] for buffer in buffers)
            x = logits_of(hidden[rows], weight, bias, form, x)
            y = logits_of(ref_hidden[rows], ref_weight, ref_bias, ref_form, y)
            lse[rows], ref_lse[rows] = x.logsumexp(1), y.logsumexp(1)
            y.sub_(ref_lse[rows, None])  # log q
            difference = x.sub_(lse[rows, None]).neg_().add_(y)  # log q − log p
            kl[rows] = difference.mul_(y.exp_()).sum(1)
        ctx.save_for_backward(hidden, weight, bias, ref_hidden, ref_weight, ref_bias, lse, ref_lse)
        ctx.form, ctx.ref_form, ctx.chunk = form, ref_form, chunk
        return kl

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        hidden, weight, bias, ref_hidden, ref_weight, ref_bias, lse, ref_lse = ctx.saved_tensors
        gradients = Gradients(ctx, hidden, weight, bias)
        for columns in columns_of(hidden.shape[0], weight.shape[0], ctx.chunk):
            x, y = (
                logits_of(h, w[columns], None if b is None else b[columns], form, buffer_for(h, w[columns]))
                for h, w, b, form in (
                    (hidden, weight, bias, ctx.form),
                    (ref_hidden, ref_weight, ref_bias, ctx.ref_form),
                )
            )
            slope = 1 - (x / ctx.form.outer).square_() if ctx.form.capped else None
            q = y.sub_(ref_lse[:, None]).exp_()
            d = x.sub_(lse[:, None]).exp_().sub_(q).mul_(grad[:, None])
            gradients.add(columns, d, slope)
        return (*gradients.found(), None, None, None, None, None, None)


@torch.no_grad()
def collision_logprobs(
    hidden: Tensor,
    weight: Tensor,
    *,
    bias: Tensor | None = None,
    scale: float = 1.0,
    softcap: float | None = None,
    temperature: float = 1.0,
    chunk: int | None = None,
) -> Tensor:
    """log Σ_v softmax(x)_v² per row, x as in `token_logprobs`: [N, H], [V, H] -> [N], without a gradient.

    The log-probability that two tokens drawn here are the same: 0 where the next token is certain, −log V where all
    are alike.
    """
    form = Form.of(scale, softcap, temperature)
    chunk = chunk or chunk_rows(hidden.device, weight.shape[0])
    device = hidden.device.type
    if torch.is_autocast_enabled(device):
        dtype = torch.get_autocast_dtype(device)
        hidden, weight, bias = hidden.to(dtype), weight.to(dtype), None if bias is None else bias.to(dtype)
    with torch.autocast(device, enabled=False):
        buffer = buffer_for(hidden[:chunk], weight)
        found = buffer.new_empty(hidden.shape[0])
        for rows in chunks(hidden.shape[0], chunk):
            x = logits_of(hidden[rows], weight, bias, form, buffer[: rows.stop - rows.start])
            e = x.sub_(x.amax(1, keepdim=True)).exp_()
            found[rows] = -2 * e.sum(1).log() + e.square_().sum(1).log()
    return found
