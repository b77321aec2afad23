"""A Llama-shaped model as its tensors: the live ones, looked up on every call, so that training in between is seen.

`read_weights` says by structure whether a model is of this shape, and `local` compares the first logits with the
model's own before it trusts us.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from truing.models import products
from truing.models.kernels.compiler import Array
from truing.rollouts.lean.projections import Linear, Projection

__all__ = ["Layer", "Norm", "Unfit", "Weights", "read_weights"]

_FAMILY = ("llama", "mistral", "qwen2", "qwen3")
_ROPES = ("default", "linear", "llama3", "yarn")  # those whose angles don't depend on the length reached
_LINEARS = (nn.Linear, products.Linear)
_PACKED_BYTES = 512 * 2**20  # at most this much of the weights is copied for a call; what is left is used as it lies


class Unfit(Exception):
    """This model is not of the shape. Says why, in a few words."""


@dataclass(frozen=True, slots=True)
class Norm:
    """RMSNorm of vectors [..., size]: x / √(mean x² + ε) · weight."""

    weight: Tensor
    eps: float

    def __call__(self, x: Tensor) -> Tensor:
        return F.rms_norm(x, self.weight.shape, self.weight, self.eps)

    @property
    def array(self) -> Array:
        """The weight as it is now, not copied."""
        numbers: Array = self.weight.detach().numpy()
        return numbers


@dataclass(frozen=True, slots=True)
class Layer:
    attention_norm: Norm
    qkv: Projection
    o: Projection
    q_norm: Norm | None
    k_norm: Norm | None
    mlp_norm: Norm
    gate_up: Projection
    down: Projection

    @property
    def projections(self) -> list[Projection]:
        return [self.qkv, self.o, self.gate_up, self.down]

    @property
    def norms(self) -> list[Norm]:
        norms = [self.attention_norm, self.q_norm, self.k_norm, self.mlp_norm]
        return [norm for norm in norms if norm is not None]


@dataclass(frozen=True, slots=True)
class Weights:
    """A Llama-shaped model as its tensors (the live ones) and its sizes."""

    layers: tuple[Layer, ...]
    embedding: Tensor
    norm: Norm
    head: Projection
    rotary: Any
    num_heads: int
    num_kv_heads: int
    head_size: int

    @property
    def projections(self) -> list[Projection]:
        """All, from the first layer to the head."""
        return [*(p for layer in self.layers for p in layer.projections), self.head]

    @property
    def signature(self) -> object:
        """What the arithmetic depends on apart from the numbers in the weights."""
        parts = [(len(p.lora), p.weight.dtype, p.weight.device) for joint in self.projections for p in joint.parts]
        return parts, [joint.copy is not None for joint in self.projections]

    def packed(self) -> Weights:
        """The same with copies of the projections for fast products, for as long as the weights do not change.

        Copies no more than `_PACKED_BYTES`, from the first layer on.
        """
        room = _PACKED_BYTES

        def packed(projection: Projection) -> Projection:
            nonlocal room
            if not projection.packable or projection.num_bytes > room:
                return projection
            room -= projection.num_bytes
            return projection.packed()

        layers = tuple(
            replace(y, qkv=packed(y.qkv), o=packed(y.o), gate_up=packed(y.gate_up), down=packed(y.down))
            for y in self.layers
        )
        return replace(self, layers=layers, head=packed(self.head))


def read_weights(model: Any, num_tokens: int) -> Weights:
    """The live weights of a Llama-shaped causal LM, LoRA included, for sequences of up to `num_tokens`.

    Raises Unfit for any other model, and for one that something is hooked into (quantised, sharded, offloaded).
    """
    config = model.config
    if getattr(config, "model_type", None) not in _FAMILY:
        raise Unfit(f"model type {getattr(config, 'model_type', None)!r}")
    body: Any = getattr(model, "model", None)
    if body is None or _children(body) != {"embed_tokens", "layers", "norm", "rotary_emb"}:
        raise Unfit("a body of other parts")
    _need({"model", "lm_head"} == _children(model), "other parts beside the body")
    window = getattr(config, "sliding_window", None) or num_tokens
    _need(window >= num_tokens, f"a sliding window of {window} for {num_tokens} tokens")
    kinds = set(getattr(config, "layer_types", None) or [])
    _need(kinds <= {"full_attention", "sliding_attention"}, f"layers of the kinds {sorted(kinds)}")
    rope = getattr(config, "rope_parameters", None) or {}
    _need(rope.get("rope_type", "default") in _ROPES, f"rotary embedding {rope.get('rope_type')!r}")
    _need(config.hidden_act in ("silu", "swish"), f"activation {config.hidden_act!r}")
    hooked = [n for n, m in model.named_modules() if m._forward_hooks or m._forward_pre_hooks or hasattr(m, "_hf_hook")]
    _need(not hooked, f"hooks on {hooked[:1]}")
    _need(type(body.embed_tokens) is nn.Embedding, "another embedding")
    size = getattr(config, "head_dim", None) or config.hidden_size // config.num_attention_heads
    layers = tuple(_read_layer(layer, size) for layer in body.layers)
    weights = Weights(
        layers, body.embed_tokens.weight, _read_norm(body.norm), _read_projection(model.lm_head), body.rotary_emb,
        config.num_attention_heads, config.num_key_value_heads, size,
    )  # fmt: skip
    tensors = [weights.embedding, *(part.weight for p in weights.projections for part in p.parts)]
    tensors += [norm.weight for layer in layers for norm in layer.norms] + [weights.norm.weight]
    _need(len({(t.dtype, t.device) for t in tensors}) == 1, "weights of several types or on several devices")
    _need(not torch.is_autocast_enabled(tensors[0].device.type), "autocast")
    _need(tensors[0].dtype in (torch.float32, torch.bfloat16, torch.float16), f"weights of {tensors[0].dtype}")
    return weights


def _need(holds: bool, otherwise: str) -> None:
    if not holds:
        raise Unfit(otherwise)


def _children(module: nn.Module) -> set[str]:
    return {name for name, child in module.named_children() if any(True for _ in child.parameters())} | (
        {"rotary_emb"} if hasattr(module, "rotary_emb") else set()
    )


def _read_layer(layer: Any, size: int) -> Layer:
    _need(
        _children(layer) == {"self_attn", "mlp", "input_layernorm", "post_attention_layernorm"}
        and _children(layer.mlp) == {"gate_proj", "up_proj", "down_proj"},
        "layers of another shape",
    )
    attention, mlp = layer.self_attn, layer.mlp
    parts = _children(attention) - {"q_proj", "k_proj", "v_proj", "o_proj"}
    _need(parts in (set(), {"q_norm", "k_norm"}), f"attention with {sorted(parts)}")
    q_norm, k_norm = (_read_norm(getattr(attention, n)) if parts else None for n in ("q_norm", "k_norm"))
    _need(all(n is None or n.weight.numel() == size for n in (q_norm, k_norm)), "norms across heads")
    return Layer(
        attention_norm=_read_norm(layer.input_layernorm),
        qkv=_read_projection(attention.q_proj, attention.k_proj, attention.v_proj),
        o=_read_projection(attention.o_proj),
        q_norm=q_norm,
        k_norm=k_norm,
        mlp_norm=_read_norm(layer.post_attention_layernorm),
        gate_up=_read_projection(mlp.gate_proj, mlp.up_proj),
        down=_read_projection(mlp.down_proj),
    )


def _read_norm(module: Any) -> Norm:
    _need(
        [n for n, _ in module.named_parameters()] == ["weight"] and hasattr(module, "variance_epsilon"), "other norms"
    )
    return Norm(module.weight, module.variance_epsilon)


def _read_projection(*modules: Any) -> Projection:
    return Projection(tuple(_read_linear(module) for module in modules))


def _read_linear(module: Any) -> Linear:
    """A plain linear layer, or one that peft wrapped with plain LoRA."""
    lora: list[tuple[Tensor, Tensor, float]] = []
    if not hasattr(module, "base_layer"):
        return _plain(module, ())
    _need(
        type(module).__module__.startswith("peft.tuners.lora") and type(module).__name__ == "Linear",
        "adapters other than LoRA",
    )
    _need(not (module.disable_adapters and module.merged), "adapters merged and switched off at once")
    if not module.disable_adapters and not module.merged:
        for name in module.active_adapters:
            if name in module.lora_A:
                _need(name not in module.lora_variant, "a variant of LoRA")
                a, b = module.lora_A[name], module.lora_B[name]
                _need(type(a) in _LINEARS and type(b) in _LINEARS and b.bias is None, "a variant of LoRA")
                lora.append((a.weight, b.weight, float(module.scaling[name])))
    return _plain(module.base_layer, tuple(lora))


def _plain(module: Any, lora: tuple[tuple[Tensor, Tensor, float], ...]) -> Linear:
    _need(type(module) in _LINEARS, f"a {type(module).__name__} where a linear layer is expected")
    _need(type(module.weight) in (nn.Parameter, Tensor), f"weights of type {type(module.weight).__name__}")
    return Linear(module.weight, module.bias, lora)
