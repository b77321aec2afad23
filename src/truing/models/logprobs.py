"""Log-probabilities and entropies from hidden states, without ever holding [tokens, vocab]: `logits.py` says how."""

from __future__ import annotations

from typing import Any, Literal, overload

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from truing.models.logits import Form, Gradients, buffer_for, chunk_rows, chunks, columns_of, logits_of
from truing.models.products import product

__all__ = ["logprobs_of", "token_logprobs"]


@overload
def token_logprobs(
    hidden: Tensor, weight: Tensor, targets: Tensor, *, bias: Tensor | None = ..., scale: float = ...,
    softcap: float | None = ..., temperature: float = ..., chunk: int | None = ..., entropy: Literal[False] = ...,
) -> Tensor: ...  # fmt: skip
@overload
def token_logprobs(
    hidden: Tensor, weight: Tensor, targets: Tensor, *, bias: Tensor | None = ..., scale: float = ...,
    softcap: float | None = ..., temperature: float = ..., chunk: int | None = ..., entropy: Literal[True],
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
    entropy: bool = False,
) -> Tensor | tuple[Tensor, Tensor]:
    """log softmax(x)[target] per row, x = cap(scale·(hidden·weightᵀ + bias)) / temperature, cap(y) = c·tanh(y/c).

    hidden [N, H], weight [V, H], targets [N], bias [V] -> [N], in float32 at least. With `entropy`, also the entropies
    of softmax(x) in nats, [N]; both are differentiable. `chunk` rows of logits are alive at a time.
    """
    chunk = chunk or chunk_rows(hidden.device, weight.shape[0])
    return logprobs_of(hidden, weight, targets, bias, Form.of(scale, softcap, temperature), chunk, entropy)


def logprobs_of(
    hidden: Tensor, weight: Tensor, targets: Tensor, bias: Tensor | None, form: Form, chunk: int, entropy: bool
) -> Tensor | tuple[Tensor, Tensor]:
    device = hidden.device.type
    if torch.is_autocast_enabled(device):
        dtype = torch.get_autocast_dtype(device)
        hidden, weight, bias = hidden.to(dtype), weight.to(dtype), None if bias is None else bias.to(dtype)
    with torch.autocast(device, enabled=False):
        frozen = not (weight.requires_grad or (bias is not None and bias.requires_grad))
        if frozen and not entropy and hidden.requires_grad and torch.is_grad_enabled():
            logprobs: Tensor = _FrozenHead.apply(hidden, weight, bias, targets, form, chunk)  # type: ignore[no-untyped-call]
            return logprobs
        both: tuple[Tensor, Tensor | None] = _Logprobs.apply(hidden, weight, bias, targets, form, chunk, entropy)  # type: ignore[no-untyped-call]
    logprobs, entropies = both
    if entropies is None:
        return logprobs
    return logprobs, entropies


class _Logprobs(torch.autograd.Function):
    """Saves [N] log-sum-exps and entropies; logits are made again in the backward pass.

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
        entropy: bool,
    ) -> tuple[Tensor, Tensor | None]:
        buffer = buffer_for(hidden[:chunk], weight)
        spare = torch.empty_like(buffer) if entropy else buffer
        logprobs, lse = (buffer.new_empty(hidden.shape[0]) for _ in range(2))
        entropies = torch.empty_like(lse) if entropy else None
        for rows in chunks(hidden.shape[0], chunk):
            x = logits_of(hidden[rows], weight, bias, form, buffer[: rows.stop - rows.start])
            at_target = x.gather(1, targets[rows, None]).squeeze(1)
            highest = x.amax(1, keepdim=True)
            x.sub_(highest)
            e = torch.exp(x, out=spare[: rows.stop - rows.start])
            total = e.sum(1)
            log_total = total.log()
            lse[rows] = highest.squeeze(1) + log_total
            logprobs[rows] = at_target - lse[rows]
            if entropies is not None:
                entropies[rows] = log_total - e.mul_(x).sum(1) / total
        ctx.save_for_backward(hidden, weight, bias, targets, lse, entropies)
        ctx.form, ctx.chunk = form, chunk
        ctx.set_materialize_grads(False)
        return logprobs, entropies

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_logprobs: Tensor | None, grad_entropies: Tensor | None) -> tuple[Tensor | None, ...]:
        if grad_logprobs is None and grad_entropies is None:
            return (None,) * 7
        hidden, weight, bias, targets, lse, entropies = ctx.saved_tensors
        gradients = Gradients(ctx, hidden, weight, bias)
        for columns in columns_of(hidden.shape[0], weight.shape[0], ctx.chunk):
            some = None if bias is None else bias[columns]
            x = logits_of(hidden, weight[columns], some, ctx.form, buffer_for(hidden, weight[columns]))
            slope = 1 - (x / ctx.form.outer).square_() if ctx.form.capped else None
            entropy = None if grad_entropies is None else (grad_entropies, entropies)
            gradients.add(columns, _d_logits(x, columns, targets, lse, grad_logprobs, entropy), slope)
        return (*gradients.found(), None, None, None, None)


def _d_logits(
    x: Tensor, columns: slice, targets: Tensor, lse: Tensor, grad: Tensor | None, entropy: tuple[Tensor, Tensor] | None
) -> Tensor:
    """Gradient with respect to x, these columns of it, in x's memory where it can."""
    x.sub_(lse[:, None])  # log p
    if entropy is None:
        assert grad is not None
        d = x.exp_().mul_(-grad[:, None])
    else:
        d_entropy, h = entropy
        weight = (x + h[:, None]).mul_(-d_entropy[:, None])
        if grad is not None:
            weight.sub_(grad[:, None])
        d = x.exp_().mul_(weight)
    if grad is None:
        return d
    place = targets - columns.start
    here = torch.where((place >= 0) & (place < d.shape[1]), grad, 0.0)
    return d.scatter_add_(1, place.clamp(0, d.shape[1] - 1)[:, None], here[:, None])


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
        one = logprobs.new_ones(min(chunk, hidden.shape[0]))
        for rows in chunks(hidden.shape[0], chunk):
            x = logits_of(hidden[rows], weight, bias, form, buffer[: rows.stop - rows.start])
            slope = 1 - (x / form.outer).square_() if form.capped else None
            at_target = x.gather(1, targets[rows, None]).squeeze(1)
            lse = x.logsumexp(1)
            logprobs[rows] = at_target - lse
            d = _d_logits(x, slice(0, weight.shape[0]), targets[rows], lse, one[: rows.stop - rows.start], None)
            if slope is not None:
                d.mul_(slope.mul_(form.outer))
            d_hidden[rows] = product(d.to(weight.dtype), weight.t()).mul_(form.inner)
        ctx.save_for_backward(d_hidden)
        return logprobs

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        (d_hidden,) = ctx.saved_tensors
        return d_hidden * grad.to(d_hidden.dtype)[:, None], None, None, None, None, None
