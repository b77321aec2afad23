"""Any causal LM with a key/value cache: transformers' own forward over a preallocated cache.

Rows stand right-aligned, as in `model.generate` with left padding: all rows write the same column in a step, so
columns are as far apart as positions, and whatever a model derives from the attention mask or from distances (sliding
windows, ALiBi, learned positions) comes out right. A prompt is run once and its keys and values are copied to each of
its rows, since attention of unknown shape cannot share them.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor
from transformers import DynamicCache
from transformers.cache_utils import Cache, CacheLayerMixin, DynamicLayer, DynamicSlidingWindowLayer

from truing.errors import ModelError
from truing.rollouts.engine import Moves

__all__ = ["GenericEngine"]

_PREFILL_TOKENS = 8192  # prompts that run together, padding included: bounds the activations


class _Columns:
    """The clock of the cache: `next` is the column that the coming tokens go to, `first` the first one in use."""

    def __init__(self, width: int, longest_prompt: int) -> None:
        self.width = width
        self.longest_prompt = longest_prompt
        self.first = self.next = longest_prompt
        self.rows = 0
        self.prefilling = False


class _RowLayer(CacheLayerMixin):  # type: ignore[no-untyped-call]
    """One layer's keys and values, [rows, heads, columns, size], allocated when the first ones come.

    Begun with zeros: what a mask hides must still be finite.
    """

    is_compileable = False
    is_sliding = False  # everything is kept; the model's mask hides what lies outside a window

    def __init__(self, max_rows: int, columns: _Columns) -> None:
        super().__init__()  # type: ignore[no-untyped-call]
        self.max_rows = max_rows
        self.columns = columns
        self.fresh: tuple[Tensor, Tensor] | None = None

    def lazy_initialization(self, key_states: Tensor, value_states: Tensor) -> None:
        self.keys, self.values = (
            x.new_zeros(self.max_rows, x.shape[1], self.columns.width, x.shape[3]) for x in (key_states, value_states)
        )
        self.is_initialized = True

    def update(self, key_states: Tensor, value_states: Tensor, *_: Any, **__: Any) -> tuple[Tensor, Tensor]:
        if not self.is_initialized:
            self.lazy_initialization(key_states, value_states)
        if self.columns.prefilling:
            self.fresh = key_states, value_states
            return self.fresh
        assert self.keys is not None
        assert self.values is not None
        c = self.columns
        self.keys[: c.rows, :, c.next] = key_states[:, :, 0]
        self.values[: c.rows, :, c.next] = value_states[:, :, 0]
        return self.keys[: c.rows, :, c.first : c.next + 1], self.values[: c.rows, :, c.first : c.next + 1]

    def both(self) -> tuple[Tensor, Tensor]:
        assert self.keys is not None
        assert self.values is not None
        return self.keys, self.values

    def get_seq_length(self) -> int:
        return 0 if self.columns.prefilling else self.columns.next - self.columns.first

    def get_mask_sizes(self, query_length: int) -> tuple[int, int]:
        return self.get_seq_length() + query_length, 0

    def get_max_length(self) -> int:
        return -1

    get_max_cache_shape = get_max_length  # its name before transformers 5.20


class GenericEngine:
    """Runs any causal LM of transformers whose layers keep keys and values.

    Errors: ModelError for a model that keeps something else (Mamba, encoder-decoder).
    """

    def __init__(self, model: Any, *, pad_id: int, max_rows: int, longest_prompt: int, max_new_tokens: int) -> None:
        self.model, self.pad_id = model, pad_id
        self.device: torch.device = model.get_input_embeddings().weight.device
        self.accepts = set(inspect.signature(model.forward).parameters)
        # Room for a second length, so that rows slide back to the left once per `max_new_tokens` steps at most.
        self.columns = _Columns(longest_prompt + 2 * max_new_tokens, longest_prompt)
        self.layers = [_RowLayer(max_rows, self.columns) for _ in range(_num_layers(model))]
        self.cache = Cache(layers=list(self.layers))
        self.starts: list[int] = []  # of each row, the column of its first token
        self.groups: dict[int, list[tuple[Tensor, Tensor]]] = {}  # per layer keys and values [heads, tokens, size]
        self.num_opened = 0

    @torch.no_grad()  # not inference_mode: what a model's forward keeps for itself must stay usable in training
    def prefill(self, prompts: Sequence[list[int]]) -> tuple[list[int], Tensor]:
        numbers = list(range(self.num_opened, self.num_opened + len(prompts)))
        self.num_opened += len(prompts)
        logits: dict[int, Tensor] = {}
        order = sorted(range(len(prompts)), key=lambda i: len(prompts[i]))
        while order:
            widest = len(prompts[order[-1]])
            part = [order.pop() for _ in range(min(len(order), max(1, _PREFILL_TOKENS // widest)))]
            logits |= zip(part, self._prefill([prompts[i] for i in part], [numbers[i] for i in part]), strict=True)
        return numbers, torch.stack([logits[i] for i in range(len(prompts))])

    def _prefill(self, prompts: list[list[int]], numbers: list[int]) -> Tensor:
        width = max(map(len, prompts))
        rows = [[self.pad_id] * (width - len(p)) + p for p in prompts]
        pads = torch.tensor([[width - len(p)] for p in prompts], device=self.device)
        self.columns.prefilling = True
        try:
            logits = self._forward(
                torch.tensor(rows, device=self.device), torch.arange(width, device=self.device), pads
            )
        finally:
            self.columns.prefilling = False
        for layer in self.layers:
            assert layer.fresh is not None, "a layer that kept nothing"
            keys, values = layer.fresh
            layer.fresh = None
            for row, (number, prompt) in enumerate(zip(numbers, prompts, strict=True)):
                tail = slice(width - len(prompt), width)
                self.groups.setdefault(number, []).append((keys[row, :, tail], values[row, :, tail]))
        return logits

    def spawn(self, groups: Sequence[int]) -> None:
        for row, group in enumerate(groups, len(self.starts)):
            for layer, fresh in zip(self.layers, self.groups[group], strict=True):
                start = self.columns.next - fresh[0].shape[1]
                for store, prompt in zip(layer.both(), fresh, strict=True):
                    store[row, :, start : self.columns.next] = prompt
            self.starts.append(start)
        self._refit()

    @torch.no_grad()
    def step(self, tokens: Tensor) -> Tensor:
        if self.columns.next == self.columns.width:
            self._slide()
        columns = torch.arange(self.columns.first, self.columns.next + 1, device=self.device)
        starts = torch.tensor(self.starts, device=self.device)[:, None]
        logits = self._forward(tokens[:, None], columns, starts)
        self.columns.next += 1
        return logits

    def move(self, moves: Moves) -> None:
        if moves.source:
            used = slice(self.columns.first, self.columns.next)
            for layer in self.layers:
                for store in layer.both():
                    store[moves.target, :, used] = store[moves.source, :, used]
        for source, target in zip(moves.source, moves.target, strict=True):
            self.starts[target] = self.starts[source]
        del self.starts[moves.left :]
        self._refit()

    def close(self, group: int) -> None:
        del self.groups[group]

    def _refit(self) -> None:
        self.columns.rows = len(self.starts)
        self.columns.first = min(self.starts, default=self.columns.next)

    def _slide(self) -> None:
        """Moves all rows to the left, as far as they go while the longest prompt still fits before the clock."""
        c = self.columns
        shift = min(c.first, c.next - c.longest_prompt)
        assert shift > 0, "rows longer than the cache"
        for layer in self.layers:
            for store in layer.both():
                store[: c.rows, :, c.first - shift : c.next - shift] = store[: c.rows, :, c.first : c.next].clone()
        self.starts = [start - shift for start in self.starts]
        c.next -= shift
        self._refit()

    def _forward(self, tokens: Tensor, columns: Tensor, starts: Tensor) -> Tensor:
        """Last logits [rows, vocab] of tokens [rows, n], which stand in the last n of `columns`."""
        inputs = {
            "input_ids": tokens,
            "attention_mask": (columns >= starts).long(),
            "position_ids": (columns - starts)[:, -tokens.shape[1] :].clamp(min=0),
            "past_key_values": self.cache,
            "use_cache": True,
            "logits_to_keep": 1,
            "return_dict": True,
        }
        logits: Tensor = self.model(**{k: v for k, v in inputs.items() if k in self.accepts}).logits[:, -1]
        return logits


def _num_layers(model: Any) -> int:
    """Layers of a cache that holds keys and values and nothing else."""
    name, config = type(model).__name__, model.config
    if (
        getattr(config, "is_encoder_decoder", False)
        or "past_key_values" not in inspect.signature(model.forward).parameters
    ):
        raise ModelError(f"{name} is no causal language model with a key/value cache", where="rollouts")
    layers = DynamicCache(config=config).layers
    for layer in layers:
        if type(layer) not in (DynamicLayer, DynamicSlidingWindowLayer):
            raise ModelError(
                f"{name} keeps more than keys and values between tokens ({type(layer).__name__})",
                where="rollouts",
                remedy="Such models cannot be sampled in process yet; sample with a server and train offline.",
            )
    return len(layers)
