"""A model's head: from hidden states to log-probabilities, whatever the architecture calls its parts."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from typing import Any, Literal, overload

import torch
from torch import Tensor, nn
from torch.utils.checkpoint import checkpoint

from truing.errors import ModelError
from truing.models.divergence import collision_logprobs, token_kl
from truing.models.forward import body_of, unwrap
from truing.models.logits import Form, chunk_rows, chunks
from truing.models.logprobs import logprobs_of
from truing.models.products import Linear

__all__ = ["Head", "head_of"]


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
            return logprobs_of(
                hidden,
                self.linear.weight,
                targets,
                self.linear.bias,
                Form.of(self.scale, self.softcap, temperature),
                entropy=entropy,
            )
        parts = [
            checkpoint(self._few, hidden[rows], targets[rows], temperature, entropy, use_reentrant=False)
            for rows in chunks(max(hidden.shape[0], 1), chunk_rows(hidden.device, self.linear.weight.shape[0]))
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
        chunk = chunk_rows(hidden.device, weight.shape[0])
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
                for rows in chunks(max(hidden.shape[0], 1), chunk)
            ]
        )

    @torch.no_grad()
    def collision_logprobs(self, hidden: Tensor, *, temperature: float = 1.0) -> Tensor:
        """`collision_logprobs` of this head; hidden [N, H] -> [N], without a gradient."""
        chunk = chunk_rows(hidden.device, self.linear.weight.shape[0])
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
            for rows in chunks(max(hidden.shape[0], 1), chunk)
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
