"""The fast path for Llama's shape (Llama, Mistral, Qwen2, Qwen3): no padding, prompts shared, live weights.

`model.generate` spends most of a small model's time outside the matrix products. Here a step is the products and
little else:

    rows       one token per living response, dense: ended ones leave at once
    suffix     keys and values of response tokens, [rows, heads, max_new_tokens, size], written in place
    prompts    each prompt's once, in blocks of prompts of like length; the rows of a prompt are its block's queries
    attention  to the suffix and to the prompt, merged by their log-sum-exps: with outputs a, b and log-sum-exps l, m
               of disjoint sets of keys, attention to both is a + σ(m − l)·(b − a)

The weights are the model's own tensors, looked up on every call: nothing is copied, nothing can go stale. LoRA is
added as the two thin products that it is, so that training and sampling round alike. `read_weights` says by structure
whether a model is of this shape, and `local` compares the first logits with the model's own before it trusts us.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from truing.rollouts.engine import Moves

__all__ = ["LeanEngine", "Unfit", "Weights", "read_weights"]

_FAMILY = ("llama", "mistral", "qwen2", "qwen3")
_ROPES = ("default", "linear", "llama3", "yarn")  # those whose angles don't depend on the length reached
_PREFILL_TOKENS = 8192
_BLOCK_WASTE = 2000  # a further block costs a layer as much as this many padded row-tokens (35 µs, CPU, 64-wide heads)


class Unfit(Exception):
    """This model is not of the shape. Says why, in a few words."""


@dataclass(frozen=True, slots=True)
class _Linear:
    weight: Tensor
    bias: Tensor | None
    lora: tuple[tuple[Tensor, Tensor, float], ...] = ()  # A [r, in], B [out, r], scaling

    def __call__(self, x: Tensor) -> Tensor:
        return self.adapt(F.linear(x, self.weight, self.bias), x)

    def adapt(self, out: Tensor, x: Tensor) -> Tensor:
        for a, b, scaling in self.lora:
            out = out + (F.linear(F.linear(x.to(a.dtype), a), b) * scaling).to(out.dtype)
        return out

    def add_to(self, residual: Tensor, x: Tensor) -> Tensor:
        """residual + self(x), in one pass where it can be."""
        if self.bias is not None:
            return residual + self(x)
        return self.adapt(torch.addmm(residual, x, self.weight.t()), x)


@dataclass(frozen=True, slots=True)
class _Norm:
    weight: Tensor
    eps: float

    def __call__(self, x: Tensor) -> Tensor:
        return F.rms_norm(x, self.weight.shape, self.weight, self.eps)


@dataclass(frozen=True, slots=True)
class _Layer:
    attention_norm: _Norm
    q: _Linear
    k: _Linear
    v: _Linear
    o: _Linear
    q_norm: _Norm | None
    k_norm: _Norm | None
    mlp_norm: _Norm
    gate: _Linear
    up: _Linear
    down: _Linear


@dataclass(frozen=True, slots=True)
class Weights:
    """A Llama-shaped model as its tensors (the live ones) and its sizes."""

    layers: tuple[_Layer, ...]
    embedding: Tensor
    norm: _Norm
    head: _Linear
    rotary: Any
    num_heads: int
    num_kv_heads: int
    head_size: int
    signature: object = field(compare=False)
    """What the arithmetic depends on apart from the numbers in the weights."""


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
        layers, body.embed_tokens.weight, _read_norm(body.norm), _read_linear(model.lm_head), body.rotary_emb,
        config.num_attention_heads, config.num_key_value_heads, size,
        signature=[[(len(p.lora), p.weight.dtype, p.weight.device) for p in _linears(y)] for y in layers],
    )  # fmt: skip
    tensors = [weights.embedding, weights.head.weight, *(p.weight for y in layers for p in _linears(y))]
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


def _read_layer(layer: Any, size: int) -> _Layer:
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
    return _Layer(
        attention_norm=_read_norm(layer.input_layernorm),
        q=_read_linear(attention.q_proj),
        k=_read_linear(attention.k_proj),
        v=_read_linear(attention.v_proj),
        o=_read_linear(attention.o_proj),
        q_norm=q_norm,
        k_norm=k_norm,
        mlp_norm=_read_norm(layer.post_attention_layernorm),
        gate=_read_linear(mlp.gate_proj),
        up=_read_linear(mlp.up_proj),
        down=_read_linear(mlp.down_proj),
    )


def _linears(layer: _Layer) -> tuple[_Linear, ...]:
    return layer.q, layer.k, layer.v, layer.o, layer.gate, layer.up, layer.down


def _read_norm(module: Any) -> _Norm:
    _need(
        [n for n, _ in module.named_parameters()] == ["weight"] and hasattr(module, "variance_epsilon"), "other norms"
    )
    return _Norm(module.weight, module.variance_epsilon)


def _read_linear(module: Any) -> _Linear:
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
                _need(type(a) is nn.Linear and type(b) is nn.Linear and b.bias is None, "a variant of LoRA")
                lora.append((a.weight, b.weight, float(module.scaling[name])))
    return _plain(module.base_layer, tuple(lora))


def _plain(module: Any, lora: tuple[tuple[Tensor, Tensor, float], ...]) -> _Linear:
    _need(type(module) is nn.Linear, f"a {type(module).__name__} where a linear layer is expected")
    _need(type(module.weight) in (nn.Parameter, Tensor), f"weights of type {type(module.weight).__name__}")
    return _Linear(module.weight, module.bias, lora)


@dataclass(slots=True)
class _Prompt:
    """A group: its prompt's keys and values, [layers, 2, heads, tokens, size] (a view into a block)."""

    store: Tensor
    num_tokens: int


@dataclass(slots=True)
class _Block:
    """Prompts of like length with their rows as queries: G groups of at most M living rows."""

    store: Tensor  # [layers, 2, G, heads, longest, size]
    mask: Tensor | None  # [G, 1, 1, longest], -inf after a prompt's end
    rows: Tensor  # [G * M] which row is the query; groups of fewer rows repeat one
    width: int  # M


class LeanEngine:
    """Rows of a Llama-shaped model. In shapes: N rows, K key heads, R query heads for each, D size, T tokens."""

    def __init__(self, weights: Weights, *, max_rows: int, longest_prompt: int, max_new_tokens: int) -> None:
        w = self.weights = weights
        self.device, self.dtype = w.embedding.device, w.embedding.dtype
        self.ratio = w.num_heads // w.num_kv_heads
        self.scale = w.head_size**-0.5
        with torch.no_grad():
            positions = torch.arange(longest_prompt + max_new_tokens, device=self.device)[None]
            cos, sin = w.rotary(w.embedding[:1], positions)  # [1, T, D]: both halves alike
        if cos.shape[-1] != w.head_size:
            raise Unfit("a rotary embedding of a part of the head")
        half = w.head_size // 2
        self.cos, self.sin = cos[0, :, None, :half].contiguous(), sin[0, :, None, :half].contiguous()  # [T, 1, D/2]
        shape = (2, len(w.layers), max_rows, w.num_kv_heads, max_new_tokens, w.head_size)
        self.suffix = torch.zeros(shape, dtype=self.dtype, device=self.device)  # what a mask hides must be finite
        self.group_of: list[int] = []  # of each row
        self.ages: list[int] = []  # of each row, tokens in its suffix
        self.groups: dict[int, _Prompt] = {}
        self.num_opened = 0
        self.members: list[list[int]] = []  # the groups of each block
        self.blocks: list[_Block] = []
        self.inverse: Tensor | None = None  # [N] the place of each row among the blocks' queries
        self.stale = True

    @torch.inference_mode()
    def prefill(self, prompts: Sequence[list[int]]) -> tuple[list[int], Tensor]:
        numbers = list(range(self.num_opened, self.num_opened + len(prompts)))
        self.num_opened += len(prompts)
        logits, first = [], 0
        while first < len(prompts):
            end, total = first, 0
            while end < len(prompts) and (end == first or total + len(prompts[end]) <= _PREFILL_TOKENS):
                total, end = total + len(prompts[end]), end + 1
            logits.append(self._prefill(prompts[first:end], numbers[first:end]))
            first = end
        return numbers, torch.cat(logits)

    def _prefill(self, prompts: Sequence[list[int]], numbers: Sequence[int]) -> Tensor:
        """All prompts in one packed row: products over all tokens, attention prompt by prompt."""
        w, heads, kv_heads, size = (
            self.weights,
            self.weights.num_heads,
            self.weights.num_kv_heads,
            self.weights.head_size,
        )
        ends = torch.tensor([len(p) for p in prompts]).cumsum(0).tolist()
        spans = [(end - len(p), end) for p, end in zip(prompts, ends, strict=True)]
        positions = torch.tensor([i for p in prompts for i in range(len(p))], device=self.device)
        cos, sin = self.cos[positions], self.sin[positions]
        x = F.embedding(torch.tensor([t for p in prompts for t in p], device=self.device), w.embedding)
        total = x.shape[0]
        last = torch.tensor(ends, device=self.device) - 1
        store = x.new_empty(len(w.layers), 2, kv_heads, total, size)
        for number, layer in enumerate(w.layers):
            h = layer.attention_norm(x)
            q = layer.q(h).view(total, heads, size)
            k = layer.k(h).view(total, kv_heads, size)
            q = _rotated(layer.q_norm(q) if layer.q_norm else q, cos, sin)
            k = _rotated(layer.k_norm(k) if layer.k_norm else k, cos, sin)
            keys, values = store[number]
            keys.copy_(k.transpose(0, 1))
            values.copy_(layer.v(h).view(total, kv_heads, size).transpose(0, 1))
            # Key heads as the batch, their query heads as heads: K and V are expanded, not repeated.
            queries = q.view(total, kv_heads, self.ratio, size).permute(1, 2, 0, 3)
            parts = []
            for a, b in spans:
                shape = (kv_heads, self.ratio, b - a, size)
                k, v = (y[:, None, a:b].expand(shape) for y in (keys, values))
                out = F.scaled_dot_product_attention(queries[:, :, a:b], k, v, is_causal=True, scale=self.scale)
                parts.append(out.permute(2, 0, 1, 3).reshape(b - a, heads * size))
            h = torch.cat(parts)
            if number == len(w.layers) - 1:  # nobody asks for the other positions
                h, x = h[last], x[last]
            x = self._mlp(layer, layer.o.add_to(x, h))
        for number, (a, b) in zip(numbers, spans, strict=True):
            self.groups[number] = _Prompt(store[:, :, :, a:b], b - a)
        self.stale = True
        return w.head(w.norm(x))

    def spawn(self, groups: Sequence[int]) -> None:
        self.group_of.extend(groups)
        self.ages.extend(0 for _ in groups)
        self.stale = True

    @torch.inference_mode()
    def step(self, tokens: Tensor) -> Tensor:
        if self.stale:
            self._arrange()
        w, heads, kv_heads, size = (
            self.weights,
            self.weights.num_heads,
            self.weights.num_kv_heads,
            self.weights.head_size,
        )
        n, ratio = tokens.shape[0], self.ratio
        longest, even = max(self.ages) + 1, min(self.ages) == max(self.ages)
        ages = torch.tensor(self.ages, device=self.device)
        mask, rows = None, torch.arange(n, device=self.device)
        if not even:
            late = torch.arange(longest, device=self.device) > ages[:, None]
            mask = torch.zeros(n, longest, dtype=self.dtype, device=self.device).masked_fill_(late, -torch.inf)
            mask = mask[:, None, None]
        positions = torch.tensor([self.groups[g].num_tokens for g in self.group_of], device=self.device) + ages
        cos, sin = self.cos[positions], self.sin[positions]
        x = F.embedding(tokens, w.embedding)
        for number, layer in enumerate(w.layers):
            h = layer.attention_norm(x)
            q = layer.q(h).view(n, heads, size)
            k = layer.k(h).view(n, kv_heads, size)
            v = layer.v(h).view(n, kv_heads, size)
            q = _rotated(layer.q_norm(q) if layer.q_norm else q, cos, sin)
            k = _rotated(layer.k_norm(k) if layer.k_norm else k, cos, sin)
            keys, values = self.suffix[0, number, :n], self.suffix[1, number, :n]
            if even:
                keys[:, :, longest - 1], values[:, :, longest - 1] = k, v
            else:
                keys[rows, :, ages], values[rows, :, ages] = k, v
            q = q.view(n, kv_heads, ratio, size)
            out, weight = _attention(q, keys[:, :, :longest], values[:, :, :longest], mask, self.scale)
            to_prompt, its_weight = self._prompts(q.transpose(1, 2).contiguous(), number)
            share = torch.sigmoid(its_weight - weight.transpose(1, 2)).to(out.dtype).unsqueeze(-1)
            out = torch.lerp(out.transpose(1, 2), to_prompt, share)  # [N, R, K, D]
            x = layer.o.add_to(x, out.transpose(1, 2).reshape(n, heads * size))
            x = self._mlp(layer, x)
        self.ages = [age + 1 for age in self.ages]
        return w.head(w.norm(x))

    @torch.inference_mode()
    def move(self, moves: Moves) -> None:
        if moves.source:
            used = max(self.ages[i] for i in moves.source)
            self.suffix[:, :, moves.target, :, :used] = self.suffix[:, :, moves.source, :, :used]
        for source, target in zip(moves.source, moves.target, strict=True):
            self.group_of[target], self.ages[target] = self.group_of[source], self.ages[source]
        del self.group_of[moves.left :], self.ages[moves.left :]
        self.stale = True

    def close(self, group: int) -> None:
        del self.groups[group]
        self.stale = True

    def _mlp(self, layer: _Layer, x: Tensor) -> Tensor:
        h = layer.mlp_norm(x)
        return layer.down.add_to(x, F.silu(layer.gate(h), inplace=True).mul_(layer.up(h)))

    def _prompts(self, q: Tensor, number: int) -> tuple[Tensor, Tensor]:
        """Attention of queries [N, R, K, D] to their prompts: output [N, R, K, D], log-sum-exp [N, R, K]."""
        assert self.inverse is not None
        n, ratio, kv_heads, size = q.shape
        outs, weights = [], []
        for block in self.blocks:
            queries = q[block.rows].view(-1, block.width * ratio, kv_heads, size).transpose(1, 2)
            keys, values = block.store[number]
            out, weight = _attention(queries, keys, values, block.mask, self.scale)
            outs.append(out.transpose(1, 2).reshape(-1, ratio * kv_heads * size))
            weights.append(weight.transpose(1, 2).reshape(-1, ratio * kv_heads))
        out, weight = (outs[0], weights[0]) if len(outs) == 1 else (torch.cat(outs), torch.cat(weights))
        return out[self.inverse].view(n, ratio, kv_heads, size), weight[self.inverse].view(n, ratio, kv_heads)

    def _arrange(self) -> None:
        """Puts the groups that have rows into blocks, and each row to its group's place."""
        rows_of: dict[int, list[int]] = {}
        for row, group in enumerate(self.group_of):
            rows_of.setdefault(group, []).append(row)
        stored = [g for block in self.members for g in block]
        # Groups whose rows have all ended are computed along until they are a quarter: a new block copies the rest.
        if not rows_of.keys() <= set(stored) or 4 * len(rows_of) <= 3 * len(stored):
            self._block_up(rows_of)
        blocks, inverse, offset = [], [0] * len(self.group_of), 0
        for block, members in zip(self.blocks, self.members, strict=True):
            width = max(len(rows_of.get(g, ())) for g in members)
            slots: list[int] = []
            for group in members:
                rows = rows_of.get(group, [])
                for place, row in enumerate(rows, offset + len(slots)):
                    inverse[row] = place
                slots += rows + [0] * (width - len(rows))
            offset += len(slots)
            if slots:
                block.rows, block.width = torch.tensor(slots, device=self.device), width
                blocks.append((block, members))
        self.blocks, self.members = [b for b, _ in blocks], [m for _, m in blocks]
        self.inverse = torch.tensor(inverse, device=self.device)
        self.stale = False

    def _block_up(self, rows_of: dict[int, list[int]]) -> None:
        """Groups by falling length; a block ends where padding would cost more than a further block does."""
        self.members, self.blocks = [], []
        waste = 0
        for group in sorted(rows_of, key=lambda g: -self.groups[g].num_tokens):
            prompt = self.groups[group]
            if self.members:
                waste += len(rows_of[group]) * (self.groups[self.members[-1][0]].num_tokens - prompt.num_tokens)
            if not self.members or waste > _BLOCK_WASTE:
                self.members.append([])
                waste = 0
            self.members[-1].append(group)
        for members in self.members:
            prompts = [self.groups[g] for g in members]
            longest = prompts[0].num_tokens
            layers, two, heads, _, size = prompts[0].store.shape
            store = prompts[0].store.new_zeros(layers, two, len(members), heads, longest, size)
            mask = store.new_zeros(len(members), 1, 1, longest)
            for place, prompt in enumerate(prompts):
                store[:, :, place, :, : prompt.num_tokens] = prompt.store
                mask[place, ..., prompt.num_tokens :] = -torch.inf
                prompt.store = store[:, :, place, :, : prompt.num_tokens]
            even = all(prompt.num_tokens == longest for prompt in prompts)
            self.blocks.append(_Block(store, None if even else mask, torch.empty(0), 0))


def _rotated(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """Rotary embedding of x [tokens, heads, D] by angles [tokens, 1, D/2], halves rotated against each other."""
    a, b = x.chunk(2, -1)
    out = torch.empty_like(x)
    left, right = out.chunk(2, -1)
    torch.mul(a, cos, out=left).addcmul_(b, sin, value=-1)
    torch.mul(b, cos, out=right).addcmul_(a, sin)
    return out


def _attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, scale: float) -> tuple[Tensor, Tensor]:
    """Attention and its log-sum-exp: q [B, K, M, D], k and v [B, K, T, D], mask added -> [B, K, M, D], [B, K, M]."""
    if q.device.type == "cpu":
        out, weight = torch.ops.aten._scaled_dot_product_flash_attention_for_cpu(
            q, k, v, 0.0, False, attn_mask=mask, scale=scale
        )
        return out, weight
    return _plain_attention(q, k, v, mask, scale)


def _plain_attention(q: Tensor, k: Tensor, v: Tensor, mask: Tensor | None, scale: float) -> tuple[Tensor, Tensor]:
    """The same in products: a step has few queries, so the scores are small and reading K and V is what it costs."""
    scores = torch.matmul(q, k.transpose(-1, -2)).float() * scale
    if mask is not None:
        scores = scores + mask
    weight = scores.logsumexp(-1)
    return torch.matmul((scores - weight[..., None]).exp().to(v.dtype), v), weight
