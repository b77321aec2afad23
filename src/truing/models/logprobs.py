"""Log-probabilities and entropies from hidden states, without ever holding [tokens, vocab]: `logits.py` says how."""

from __future__ import annotations

from typing import Any, Literal, overload

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from truing.models.kernels.compiler import fits
from truing.models.kernels.softmax import log_sums, powers_, softmax_
from truing.models.logits import (
    Form,
    Gradients,
    buffer_for,
    chunk_rows,
    chunks,
    columns_of,
    kept_rows,
    lent,
    logits_of,
)
from truing.models.products import product

__all__ = ["logprobs_of", "token_logprobs"]


@overload
def token_logprobs(
    hidden: Tensor, weight: Tensor, targets: Tensor, *, bias: Tensor | None = ..., scale: float = ...,
    softcap: float | None = ..., temperature: float = ..., chunk: int | None = ..., keep: int | None = ...,
    entropy: Literal[False] = ...,
) -> Tensor: ...  # fmt: skip
@overload
def token_logprobs(
    hidden: Tensor, weight: Tensor, targets: Tensor, *, bias: Tensor | None = ..., scale: float = ...,
    softcap: float | None = ..., temperature: float = ..., chunk: int | None = ..., keep: int | None = ...,
    entropy: Literal[True],
) -> tuple[Tensor, Tensor]: ...  # fmt: skip
def token_logprobs(
    hidden: Tensor,
    weight: Tensor,
    targets: Tensor,
    *,
    bias: Tensor | None = None,
    scale: float = 1.0,
    softcap: float | None = None,
    temperature: float = 1.0,
    chunk: int | None = None,
    keep: int | None = None,
    entropy: bool = False,
) -> Tensor | tuple[Tensor, Tensor]:
    """log softmax(x)[target] per row, x = cap(scale·(hidden·weightᵀ + bias)) / temperature, cap(y) = c·tanh(y/c).

    hidden [N, H], weight [V, H], targets [N], bias [V] -> [N], in float32 at least. With `entropy`, also the entropies
    of softmax(x) in nats, [N]; both are differentiable. `chunk` rows of logits are alive at a time, and the
    probabilities of up to `keep` rows stay until the backward pass.
    """
    form = Form.of(scale, softcap, temperature)
    return logprobs_of(hidden, weight, targets, bias, form, chunk=chunk, keep=keep, entropy=entropy)


def logprobs_of(
    hidden: Tensor,
    weight: Tensor,
    targets: Tensor,
    bias: Tensor | None,
    form: Form,
    *,
    chunk: int | None = None,
    keep: int | None = None,
    entropy: bool = False,
) -> Tensor | tuple[Tensor, Tensor]:
    device, vocabulary = hidden.device.type, weight.shape[0]
    chunk = chunk_rows(hidden.device, vocabulary) if chunk is None else chunk
    keep = kept_rows(hidden.device, vocabulary) if keep is None else keep
    if torch.is_autocast_enabled(device):
        dtype = torch.get_autocast_dtype(device)
        hidden, weight, bias = hidden.to(dtype), weight.to(dtype), None if bias is None else bias.to(dtype)
    with torch.autocast(device, enabled=False):
        frozen = not (weight.requires_grad or (bias is not None and bias.requires_grad))
        if frozen and not entropy and hidden.requires_grad and torch.is_grad_enabled():
            logprobs: Tensor = _FrozenHead.apply(hidden, weight, bias, targets, form, chunk)  # type: ignore[no-untyped-call]
            return logprobs
        # a soft cap has a slope, which is made from the logits themselves
        wanted = torch.is_grad_enabled() and any(t is not None and t.requires_grad for t in (hidden, weight, bias))
        kept = wanted and not form.capped and 0 < hidden.shape[0] <= keep
        both: tuple[Tensor, Tensor | None] = _Logprobs.apply(  # type: ignore[no-untyped-call]
            hidden, weight, bias, targets, form, chunk, kept, entropy
        )
    logprobs, entropies = both
    if entropies is None:
        return logprobs
    return logprobs, entropies


class _Logprobs(torch.autograd.Function):
    """Saves [N] log-sum-exps and entropies; logits are made again in the backward pass, unless probabilities are kept.

    With p = softmax(x), H its entropy and lse its log-sum-exp:
    d logprob/dx = onehot(target) − p and dH/dx = −p·(x − lse + H).
    """

    @staticmethod
    def forward(
        ctx: Any,
        hidden: Tensor,
        weight: Tensor,
        bias: Tensor | None,
        targets: Tensor,
        form: Form,
        chunk: int,
        keep: bool,
        entropy: bool,
    ) -> tuple[Tensor, Tensor | None]:
        buffer = buffer_for(hidden[:chunk], weight)
        logprobs, lse = (buffer.new_empty(hidden.shape[0]) for _ in range(2))
        entropies = torch.empty_like(lse) if entropy else None
        kept = lent(hidden.shape[0], weight.shape[0], weight) if keep else None
        spare = torch.empty_like(buffer) if entropy else buffer
        for rows in chunks(hidden.shape[0], chunk):
            size = rows.stop - rows.start
            room = spare[:size] if kept is None or kept.dtype != buffer.dtype else kept[rows]
            # p takes the place of x, unless the entropy needs both
            x = logits_of(hidden[rows], weight, bias, form, buffer[:size] if entropy else room)
            at_target = x.gather(1, targets[rows, None]).squeeze(1)
            p = room
            if entropies is None and kept is None and fits(x):
                highest, log_total = log_sums(x)
            else:
                highest, log_total = _softmax(x, room)
            lse[rows] = highest + log_total
            logprobs[rows] = at_target - lse[rows]
            if entropies is not None:
                entropies[rows] = log_total - x.sub_(highest[:, None]).mul_(p).sum(1)
            if kept is not None:
                _add_at(p, slice(0, p.shape[1]), targets[rows], -1.0)
                if p.dtype != kept.dtype:
                    kept[rows] = p
        ctx.save_for_backward(hidden, weight, bias, targets, lse, entropies)
        ctx.form, ctx.chunk, ctx.kept = form, chunk, kept
        ctx.set_materialize_grads(False)
        return logprobs, entropies

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_logprobs: Tensor | None, grad_entropies: Tensor | None) -> tuple[Tensor | None, ...]:
        # given back now, not when the graph goes; who goes through the graph again has the logits made again
        kept, ctx.kept = ctx.kept, None
        if grad_logprobs is None and grad_entropies is None:
            return (None,) * 8
        hidden, weight, bias, targets, lse, entropies = ctx.saved_tensors
        # Of the log-probability alone d/dx is −grad·(p − onehot): what differs by row is left to `Gradients`.
        alone = -grad_logprobs if grad_logprobs is not None and grad_entropies is None else None
        gradients = Gradients(ctx, hidden, weight, bias, by_row=alone)
        if kept is not None and alone is not None:
            gradients.add(slice(0, weight.shape[0]), kept, None)
            return (*gradients.found(), None, None, None, None, None)
        for columns in columns_of(hidden.shape[0], weight.shape[0], ctx.chunk):
            some = None if bias is None else bias[columns]
            x = logits_of(hidden, weight[columns], some, ctx.form, buffer_for(hidden, weight[columns]))
            slope = 1 - (x / ctx.form.outer).square_() if ctx.form.capped else None
            if grad_entropies is None:
                p = powers_(x, lse) if fits(x) else x.sub_(lse[:, None]).exp_()
                d = _add_at(p, columns, targets, -1.0)
            else:
                d = _d_logits(x, columns, targets, lse, grad_logprobs, (grad_entropies, entropies))
            gradients.add(columns, d, slope)
        return (*gradients.found(), None, None, None, None, None)


def _softmax(x: Tensor, out: Tensor) -> tuple[Tensor, Tensor]:
    """softmax(x) by row, in `out`, which may be x; the highest x of each row, and log Σ exp(x − highest)."""
    if fits(x):
        return softmax_(out if out is x else out.copy_(x))
    highest = x.amax(1)
    if x.device.type == "cpu":  # one pass over the memory, row by row
        torch.softmax(x, 1, out=out)
    else:
        torch.sub(x, x.logsumexp(1, keepdim=True), out=out).exp_()
    return highest, -out.amax(1).log_()  # of the sum the largest term is 1


def _add_at(d: Tensor, columns: slice, targets: Tensor, value: Tensor | float) -> Tensor:
    """Add `value` ([N] or a number) to the target's place of each row of `d`, which has these columns."""
    place = targets - columns.start
    here = torch.where((place >= 0) & (place < d.shape[1]), value, 0.0).to(d.dtype)
    return d.scatter_add_(1, place.clamp(0, d.shape[1] - 1)[:, None], here[:, None])


def _d_logits(
    x: Tensor, columns: slice, targets: Tensor, lse: Tensor, grad: Tensor | None, entropy: tuple[Tensor, Tensor]
) -> Tensor:
    """Gradient of both with respect to x, these columns of it, in x's memory where it can."""
    d_entropy, h = entropy
    x.sub_(lse[:, None])  # log p
    weight = (x + h[:, None]).mul_(-d_entropy[:, None])
    if grad is None:
        return x.exp_().mul_(weight)
    return _add_at(x.exp_().mul_(weight.sub_(grad[:, None])), columns, targets, grad)


class _FrozenHead(torch.autograd.Function):
    """With a head that is not trained, d logprob/d hidden depends on no later gradient: made in the forward pass.

    Two matrix products in all instead of three; what is saved is [N, H].
    """

    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor, form: Form, chunk: int
    ) -> Tensor:
        buffer = buffer_for(hidden[:chunk], weight)
        logprobs = buffer.new_empty(hidden.shape[0])
        d_hidden = torch.empty_like(hidden)
        for rows in chunks(hidden.shape[0], chunk):
            x = logits_of(hidden[rows], weight, bias, form, buffer[: rows.stop - rows.start])
            slope = 1 - (x / form.outer).square_() if form.capped else None
            at_target = x.gather(1, targets[rows, None]).squeeze(1)
            highest, log_total = _softmax(x, x)
            logprobs[rows] = at_target - highest - log_total
            d = _add_at(x, slice(0, weight.shape[0]), targets[rows], -1.0)
            if slope is not None:
                d.mul_(slope.mul_(form.outer))
            d_hidden[rows] = product(d.to(weight.dtype), weight.t()).mul_(-form.inner)
        ctx.save_for_backward(d_hidden)
        return logprobs

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        (d_hidden,) = ctx.saved_tensors
        return d_hidden * grad.to(d_hidden.dtype)[:, None], None, None, None, None, None
