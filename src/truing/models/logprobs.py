"""Log-probabilities from hidden states, without ever holding [tokens, vocab].

Only positions that predict a trained token come here, a chunk at a time: a chunk's logits are made, read and thrown
away, and made again in the backward pass. The largest thing alive is [chunk, vocab].
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Literal, overload

import torch
from torch import Tensor, nn
from torch.autograd.function import once_differentiable
from torch.utils.checkpoint import checkpoint

from truing.errors import ModelError
from truing.models.forward import body_of, unwrap
from truing.models.products import Linear, onednn_is_faster, product, weight_gradient

__all__ = ["Head", "collision_logprobs", "head_of", "token_kl", "token_logprobs"]


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
    chunk = chunk or _chunk(hidden.device, weight.shape[0])
    return _token_logprobs(hidden, weight, targets, bias, _Form.of(scale, softcap, temperature), chunk, entropy)


def _token_logprobs(
    hidden: Tensor, weight: Tensor, targets: Tensor, bias: Tensor | None, form: _Form, chunk: int, entropy: bool
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


def _chunk(device: torch.device, vocabulary: int) -> int:
    """Rows whose logits stay in cache on a CPU, and fill the machine elsewhere."""
    numbers = 2**21 if device.type == "cpu" else 2**27
    return max(64, numbers // vocabulary)


@dataclass(frozen=True, slots=True)
class _Form:
    """x = outer·f(inner·(h·Wᵀ + b)), f = tanh with a soft cap, else the identity and outer = 1."""

    inner: float
    outer: float
    capped: bool

    @classmethod
    def of(cls, scale: float, softcap: float | None, temperature: float) -> _Form:
        assert temperature > 0, f"temperature {temperature}: log-probabilities need one above 0"
        if softcap is None:
            return cls(scale / temperature, 1.0, False)
        return cls(scale / softcap, softcap / temperature, True)


def _linear(hidden: Tensor, weight: Tensor, bias: Tensor | None, form: _Form, out: Tensor) -> Tensor:
    """inner·(h·Wᵀ + b) into `out` [rows, V]; products in the model's precision, everything after in `out`'s."""
    if out.dtype != weight.dtype or onednn_is_faster():
        out.copy_(product(hidden, weight))
    else:
        torch.mm(hidden, weight.t(), out=out)
    if bias is not None:
        out.add_(bias)
    if form.inner != 1.0:
        out.mul_(form.inner)
    return out


def _logits(hidden: Tensor, weight: Tensor, bias: Tensor | None, form: _Form, out: Tensor) -> Tensor:
    _linear(hidden, weight, bias, form, out)
    return out.tanh_().mul_(form.outer) if form.capped else out


def _buffer(hidden: Tensor, weight: Tensor, chunk: int) -> Tensor:
    dtype = torch.promote_types(hidden.dtype, torch.float32)
    return hidden.new_empty(min(chunk, hidden.shape[0]), weight.shape[0], dtype=dtype)


def _cast(tensor: Tensor, like: Tensor) -> Tensor:
    return tensor.to(like.dtype)


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
        form: _Form,
        chunk: int,
        entropy: bool,
    ) -> tuple[Tensor, Tensor | None]:
        buffer = _buffer(hidden, weight, chunk)
        spare = torch.empty_like(buffer) if entropy else buffer
        logprobs, lse = (buffer.new_empty(hidden.shape[0]) for _ in range(2))
        entropies = torch.empty_like(lse) if entropy else None
        for rows in _chunks(hidden.shape[0], chunk):
            x = _logits(hidden[rows], weight, bias, form, buffer[: rows.stop - rows.start])
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
        buffer = _buffer(hidden, weight, ctx.chunk)
        gradients = _Gradients(ctx, hidden, weight, bias, buffer.dtype)
        for rows in _chunks(hidden.shape[0], ctx.chunk):
            x = _logits(hidden[rows], weight, bias, ctx.form, buffer[: rows.stop - rows.start])
            slope = 1 - (x / ctx.form.outer).square_() if ctx.form.capped else None
            d = _d_logits(
                x,
                targets[rows],
                lse[rows],
                None if grad_logprobs is None else grad_logprobs[rows],
                None if grad_entropies is None else (grad_entropies[rows], entropies[rows]),
            )
            gradients.add(rows, d, slope)
        return (*gradients.found(), None, None, None, None)


class _Gradients:
    """Of hidden states, weight and bias (those that are wanted), from d loss/dx, a chunk at a time."""

    def __init__(self, ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor | None, dtype: torch.dtype) -> None:
        wants_hidden, wants_weight, wants_bias = ctx.needs_input_grad[:3]
        self.inputs, self.form = (hidden, weight, bias), ctx.form
        self.hidden = torch.empty_like(hidden) if wants_hidden else None
        self.weight = torch.zeros_like(weight, dtype=dtype) if wants_weight else None
        self.bias = torch.zeros_like(bias, dtype=dtype) if wants_bias and bias is not None else None

    def add(self, rows: slice, d: Tensor, slope: Tensor | None) -> None:
        """`d` [rows, V] is used up; `slope` is what a soft cap multiplies it by, short of `outer`."""
        hidden, weight, _ = self.inputs
        inner = self.form.inner
        if slope is not None:
            d.mul_(slope.mul_(self.form.outer))
        d_low = _cast(d, weight)
        # `inner` is applied to the small products, not to the [rows, V] one
        if self.hidden is not None:
            self.hidden[rows] = product(d_low, weight.t()).mul_(inner)
        if self.weight is not None:
            _accumulate(self.weight, d_low, hidden[rows] * inner if inner != 1.0 else hidden[rows])
        if self.bias is not None:
            self.bias.add_(d.sum(0), alpha=inner)

    def found(self) -> tuple[Tensor | None, Tensor | None, Tensor | None]:
        _, weight, bias = self.inputs
        return (
            self.hidden,
            None if self.weight is None else _cast(self.weight, weight),
            None if self.bias is None or bias is None else _cast(self.bias, bias),
        )


def _accumulate(total: Tensor, d: Tensor, hidden: Tensor) -> None:
    """total += dᵀ·hidden, in total's precision."""
    if total.dtype != hidden.dtype or onednn_is_faster():
        total.add_(weight_gradient(d, hidden))
    else:
        total.addmm_(d.t(), hidden)


def _d_logits(
    x: Tensor, targets: Tensor, lse: Tensor, grad: Tensor | None, entropy: tuple[Tensor, Tensor] | None
) -> Tensor:
    """Gradient with respect to x [rows, V], in x's memory where it can."""
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
    return d if grad is None else d.scatter_add_(1, targets[:, None], grad[:, None])


class _FrozenHead(torch.autograd.Function):
    """With a head that is not trained, d logprob/d hidden depends on no later gradient: made in the forward pass.

    Two matrix products in all instead of three; what is saved is [N, H].
    """

    @staticmethod
    def forward(
        ctx: Any, hidden: Tensor, weight: Tensor, bias: Tensor | None, targets: Tensor, form: _Form, chunk: int
    ) -> Tensor:
        buffer = _buffer(hidden, weight, chunk)
        logprobs = buffer.new_empty(hidden.shape[0])
        d_hidden = torch.empty_like(hidden)
        one = logprobs.new_ones(min(chunk, hidden.shape[0]))
        for rows in _chunks(hidden.shape[0], chunk):
            x = _logits(hidden[rows], weight, bias, form, buffer[: rows.stop - rows.start])
            slope = 1 - (x / form.outer).square_() if form.capped else None
            at_target = x.gather(1, targets[rows, None]).squeeze(1)
            lse = x.logsumexp(1)
            logprobs[rows] = at_target - lse
            d = _d_logits(x, targets[rows], lse, one[: rows.stop - rows.start], None)
            if slope is not None:
                d.mul_(slope.mul_(form.outer))
            d_hidden[rows] = product(_cast(d, weight), weight.t()).mul_(form.inner)
        ctx.save_for_backward(d_hidden)
        return logprobs

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        (d_hidden,) = ctx.saved_tensors
        return d_hidden * _cast(grad, d_hidden)[:, None], None, None, None, None, None


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
    forms = (_Form.of(scale[0], softcap[0], temperature), _Form.of(scale[1], softcap[1], temperature))
    device = hidden.device.type
    tensors = (hidden, weight, bias, ref_hidden, ref_weight, ref_bias)
    if torch.is_autocast_enabled(device):
        dtype = torch.get_autocast_dtype(device)
        tensors = tuple(None if t is None else t.to(dtype) for t in tensors)  # type: ignore[assignment]
    with torch.autocast(device, enabled=False):
        kl: Tensor = _KL.apply(*tensors, *forms, chunk or _chunk(hidden.device, weight.shape[0]))  # type: ignore[no-untyped-call]
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
        form: _Form,
        ref_form: _Form,
        chunk: int,
    ) -> Tensor:
        buffers = _buffer(hidden, weight, chunk), _buffer(ref_hidden, ref_weight, chunk)
        kl, lse = (buffers[0].new_empty(hidden.shape[0]) for _ in range(2))
        ref_lse = buffers[1].new_empty(hidden.shape[0])
        for rows in _chunks(hidden.shape[0], chunk):
            x, y = (buffer[: rows.stop - rows.start] for buffer in buffers)
            _logits(hidden[rows], weight, bias, form, x)
            _logits(ref_hidden[rows], ref_weight, ref_bias, ref_form, y)
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
        buffers = _buffer(hidden, weight, ctx.chunk), _buffer(ref_hidden, ref_weight, ctx.chunk)
        gradients = _Gradients(ctx, hidden, weight, bias, buffers[0].dtype)
        for rows in _chunks(hidden.shape[0], ctx.chunk):
            x, y = (buffer[: rows.stop - rows.start] for buffer in buffers)
            _logits(hidden[rows], weight, bias, ctx.form, x)
            _logits(ref_hidden[rows], ref_weight, ref_bias, ctx.ref_form, y)
            slope = 1 - (x / ctx.form.outer).square_() if ctx.form.capped else None
            q = y.sub_(ref_lse[rows, None]).exp_()
            d = x.sub_(lse[rows, None]).exp_().sub_(q).mul_(grad[rows, None])
            gradients.add(rows, d, slope)
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
    form = _Form.of(scale, softcap, temperature)
    chunk = chunk or _chunk(hidden.device, weight.shape[0])
    device = hidden.device.type
    if torch.is_autocast_enabled(device):
        dtype = torch.get_autocast_dtype(device)
        hidden, weight, bias = hidden.to(dtype), weight.to(dtype), None if bias is None else bias.to(dtype)
    with torch.autocast(device, enabled=False):
        buffer = _buffer(hidden, weight, chunk)
        found = buffer.new_empty(hidden.shape[0])
        for rows in _chunks(hidden.shape[0], chunk):
            x = _logits(hidden[rows], weight, bias, form, buffer[: rows.stop - rows.start])
            e = x.sub_(x.amax(1, keepdim=True)).exp_()
            found[rows] = -2 * e.sum(1).log() + e.square_().sum(1).log()
    return found


def _chunks(size: int, chunk: int) -> list[slice]:
    return [slice(start, min(start + chunk, size)) for start in range(0, size, chunk)]


@dataclass(frozen=True)
class Head:
    """A model's way from hidden states to logits: a linear layer, then a scale and perhaps a soft cap.

    It keeps the layer and not its weights, which may be replaced, sharded or adapted between two calls.
    """

    linear: Any
    scale: float = 1.0
    softcap: float | None = None

    @property
    def plain(self) -> bool:
        """Just a matrix product: no adapter inside, no quantisation, no hook that fetches weights."""
        layer = self.linear
        return type(layer) in (nn.Linear, Linear) and not (layer._forward_hooks or layer._forward_pre_hooks)

    def logits(self, hidden: Tensor) -> Tensor:
        """[N, H] -> [N, V]: for few positions."""
        logits: Tensor = self.linear(hidden)
        if self.scale != 1.0:
            logits = logits * self.scale
        return logits if self.softcap is None else torch.tanh(logits / self.softcap) * self.softcap

    @overload
    def logprobs(
        self, hidden: Tensor, targets: Tensor, *, temperature: float = ..., entropy: Literal[False] = ...
    ) -> Tensor: ...
    @overload
    def logprobs(
        self, hidden: Tensor, targets: Tensor, *, temperature: float = ..., entropy: Literal[True]
    ) -> tuple[Tensor, Tensor]: ...
    def logprobs(
        self, hidden: Tensor, targets: Tensor, *, temperature: float = 1.0, entropy: bool = False
    ) -> Tensor | tuple[Tensor, Tensor]:
        """`token_logprobs` through this head; hidden [N, H], targets [N] -> [N], or ([N], [N]) with `entropy`."""
        if self.plain:
            return _token_logprobs(
                hidden,
                self.linear.weight,
                targets,
                self.linear.bias,
                _Form.of(self.scale, self.softcap, temperature),
                _chunk(hidden.device, self.linear.weight.shape[0]),
                entropy,
            )
        parts = [
            checkpoint(self._few, hidden[rows], targets[rows], temperature, entropy, use_reentrant=False)
            for rows in _chunks(max(hidden.shape[0], 1), _chunk(hidden.device, self.linear.weight.shape[0]))
        ]
        both = [torch.cat(streams) for streams in zip(*parts, strict=True)]
        return (both[0], both[1]) if entropy else both[0]

    def _few(self, hidden: Tensor, targets: Tensor, temperature: float, entropy: bool) -> tuple[Tensor, ...]:
        logits = self.logits(hidden)
        logs = _log_softmax(logits, temperature)
        logprobs = logs.gather(1, targets[:, None]).squeeze(1)
        return (logprobs, -(logs.exp() * logs).sum(-1)) if entropy else (logprobs,)

    def kl_from(
        self,
        reference: Head,
        hidden: Tensor,
        ref_hidden: Tensor,
        *,
        temperature: float = 1.0,
        active: Callable[[], AbstractContextManager[Any]] = nullcontext,
    ) -> Tensor:
        """`token_kl` KL(π_ref ‖ π) of this head from that of the reference; hidden [N, H], ref_hidden [N, H'] -> [N].

        `active()` is a context in which the layers of `reference` do what they do in the reference: a head with an
        adapter inside is shared, and runs again in the backward pass.
        """
        weight, ref_weight = self.linear.weight, reference.linear.weight
        if weight.shape[0] != ref_weight.shape[0]:
            raise ModelError(
                f"the policy knows {weight.shape[0]} tokens and the reference {ref_weight.shape[0]}: there is no KL "
                "divergence between them",
                remedy="Use a reference with the same vocabulary.",
            )
        chunk = _chunk(hidden.device, weight.shape[0])
        if self.plain and reference.plain:
            return token_kl(
                hidden,
                weight,
                ref_hidden,
                ref_weight,
                bias=self.linear.bias,
                ref_bias=reference.linear.bias,
                scale=(self.scale, reference.scale),
                softcap=(self.softcap, reference.softcap),
                temperature=temperature,
                chunk=chunk,
            )

        def few(hidden: Tensor, ref_hidden: Tensor) -> Tensor:
            with active():
                ref_logs = _log_softmax(reference.logits(ref_hidden).detach(), temperature)
            return (ref_logs.exp() * (ref_logs - _log_softmax(self.logits(hidden), temperature))).sum(-1)

        return torch.cat(
            [
                checkpoint(few, hidden[rows], ref_hidden[rows], use_reentrant=False)
                for rows in _chunks(max(hidden.shape[0], 1), chunk)
            ]
        )

    @torch.no_grad()
    def collision_logprobs(self, hidden: Tensor, *, temperature: float = 1.0) -> Tensor:
        """`collision_logprobs` of this head; hidden [N, H] -> [N], without a gradient."""
        chunk = _chunk(hidden.device, self.linear.weight.shape[0])
        if self.plain:
            return collision_logprobs(
                hidden,
                self.linear.weight,
                bias=self.linear.bias,
                scale=self.scale,
                softcap=self.softcap,
                temperature=temperature,
                chunk=chunk,
            )
        parts = [
            (2 * _log_softmax(self.logits(hidden[rows]), temperature)).logsumexp(-1)
            for rows in _chunks(max(hidden.shape[0], 1), chunk)
        ]
        return torch.cat(parts)


def _log_softmax(logits: Tensor, temperature: float) -> Tensor:
    return (logits.to(torch.promote_types(logits.dtype, torch.float32)) / temperature).log_softmax(-1)


def head_of(model: nn.Module) -> Head:
    """The head of a causal LM, checked against the model's own logits on four tokens.

    Configs name their logit scale in several ways, and two architectures use one name for a factor and for a divisor:
    all that the config offers are tried. `ModelError` if none gives the model's logits.
    """
    base = unwrap(model)
    linear = base.get_output_embeddings()
    if linear is None:
        raise ModelError(f"{type(base).__name__} has no language-model head", remedy="Load a causal language model.")
    config = base.config.get_text_config()
    softcap = getattr(config, "final_logit_softcapping", None)
    token_ids = torch.arange(1, 5, device=linear.weight.device)[None] % config.vocab_size
    with torch.no_grad():
        expected = base(input_ids=token_ids, use_cache=False).logits[0].float()
        hidden = body_of(model)(input_ids=token_ids, use_cache=False).last_hidden_state[0]
        tolerance = 1e-3 if linear.weight.dtype in (torch.float32, torch.float64) else 5e-2
        for scale in _scales(config):
            head = Head(linear, scale, softcap)
            if (head.logits(hidden).float() - expected).norm() <= tolerance * expected.norm():
                return head
    raise ModelError(
        f"{type(base).__name__} makes its logits in a way that is not known here: a linear layer, a scale "
        f"({', '.join(map(str, _scales(config)))}) and a soft cap ({softcap}) do not reproduce them",
        remedy="Please report the architecture.",
    )


def _scales(config: Any) -> list[float]:
    """1 and every factor that the config may mean, most likely first."""
    scales = []
    for name in ("logit_scale", "lm_head_multiplier", "logits_scaling", "logits_mup_width_multiplier"):
        value = getattr(config, name, None)
        if isinstance(value, int | float) and value:
            scales += [float(value), 1.0 / float(value)]
    return [*scales, 1.0]
