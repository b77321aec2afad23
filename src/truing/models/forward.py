"""One packed batch through one model: the only place that runs a decoder for training.

`Runner(model)(packed)` gives the last hidden states of the packed row, [T, H], after the final norm and before any
head. It runs the row as it is (each prompt once), or, where a model cannot, the plain padded way (the prompt copied for
every response) and puts the result in the same order: whoever reads the hidden states cannot tell.
"""

from __future__ import annotations

import inspect
import warnings
from collections.abc import Sequence
from typing import Any

import torch
from torch import Tensor, nn

from truing.errors import ModelError
from truing.models.attention import NAME, Unshareable, tree_layout
from truing.models.fused import speed_up
from truing.tree import Branch, Packed, Tree, pack

__all__ = ["PaddedPath", "Runner", "body_of", "hidden_states", "hidden_states_padded", "no_dropout", "unwrap"]


class PaddedPath(UserWarning):
    """A model's attention cannot share prompts: batches are padded, the result is the same, only slower."""


def unwrap(model: nn.Module) -> Any:
    """The transformers model under a PEFT wrapper (whose layers stay in place), or the model itself."""
    get_base_model: Any = getattr(model, "get_base_model", None)
    if get_base_model is None:
        return model
    adapter: Any = getattr(model, "active_peft_config", None)
    if adapter is not None and adapter.is_prompt_learning:
        raise ModelError(
            f"an adapter of type {adapter.peft_type.value} puts virtual tokens before the prompt",
            remedy="Use an adapter that lives in the layers, such as LoRA.",
        )
    return get_base_model()


def body_of(model: nn.Module) -> nn.Module:
    """The decoder without its head."""
    base = unwrap(model)
    if not hasattr(base, "get_decoder") or base.config.is_encoder_decoder:
        raise ModelError(f"{type(base).__name__} is not a decoder-only model", remedy="Load a causal language model.")
    body = base.get_decoder()
    if body is None or body is base:
        body = base.base_model
    assert isinstance(body, nn.Module)
    return body


def hidden_states(model: nn.Module, packed: Packed) -> Tensor:
    """[T, H]: the packed row at once. The model's attention must be `truing_tree` (`Runner` sees to it)."""
    body = body_of(model)
    with tree_layout(packed.layout):
        # The mask of ones keeps transformers from guessing sequences, or padding, from the row itself.
        out = body(
            input_ids=packed.token_ids[None],
            position_ids=packed.position_ids[None],
            attention_mask=torch.ones_like(packed.token_ids)[None],
            use_cache=False,
        )
    states: Tensor = out.last_hidden_state[0]
    return states


def hidden_states_padded(model: nn.Module, packed: Packed) -> Tensor:
    """[T, H]: the same by the plain way, one right-padded row a response, its prompt copied.

    The state of a prompt token is taken from the first row that holds it; in a causal model all rows agree.
    """
    rows, source = _rows(packed)
    longest = max(map(len, rows), default=0)
    token_ids = torch.tensor([row + [0] * (longest - len(row)) for row in rows], device=packed.token_ids.device)
    lengths = torch.tensor([len(row) for row in rows], device=token_ids.device)
    attention_mask = (torch.arange(longest, device=token_ids.device) < lengths[:, None]).long()
    body = body_of(model)
    arguments = {"input_ids": token_ids, "attention_mask": attention_mask, "use_cache": False}
    out = body(**{name: value for name, value in arguments.items() if _accepts(body, name)})
    states: Tensor = out.last_hidden_state
    index = torch.tensor([row * longest + column for row, column in source], device=token_ids.device)
    return states.flatten(0, 1).index_select(0, index)


def _rows(packed: Packed) -> tuple[list[list[int]], list[tuple[int, int]]]:
    """Token ids of each padded row, and (row, column) of each token of the packed row."""
    token_ids: list[int] = packed.token_ids.tolist()
    rows: list[list[int]] = []
    source: list[tuple[int, int]] = []
    for span in packed.layout:
        prompt = token_ids[slice(*span.prompt)]
        source += [(len(rows), column) for column in range(len(prompt))]
        for start, end in span.branches or ((span.end, span.end),):
            source += [(len(rows), len(prompt) + column) for column in range(end - start)]
            rows.append(prompt + token_ids[start:end])
    return rows, source


def _accepts(body: nn.Module, name: str) -> bool:
    parameters = inspect.signature(body.forward).parameters
    return name in parameters or any(p.kind is inspect.Parameter.VAR_KEYWORD for p in parameters.values())


def no_dropout(model: nn.Module) -> None:
    """Turn every dropout off for good, in train mode too.

    Log-probabilities are compared with a reference's and with the sampler's, token by token; noise in them is noise in
    the loss. Permanent, since activation checkpointing runs layers again long after the forward pass.
    The config, which is saved, keeps its rates.
    """
    for module in model.modules():
        if isinstance(module, nn.modules.dropout._DropoutNd):
            module.p = 0.0
        for name, value in vars(module).items():
            if "drop" in name and isinstance(value, float):
                setattr(module, name, 0.0)


class Runner:
    """Runs packed batches through `model` with dropout off: shared where the model can, padded where it cannot.

    On the first batch a few tokens go both ways; unless the hidden states agree, a `PaddedPath` warning names the
    architecture and the reason, and all batches go the padded way. `share=False` asks for that way from the start.
    `checkpointing=True` keeps only the layers' inputs and computes them again in the backward pass.
    """

    def __init__(self, model: nn.Module, *, checkpointing: bool = False, share: bool = True) -> None:
        self.model, self.checkpointing = model, checkpointing
        self.shared: bool | None = None if share else False
        self._told: set[str] = set()
        no_dropout(model)
        speed_up(model)
        if checkpointing:
            base = unwrap(model)
            if not getattr(base, "supports_gradient_checkpointing", False):
                raise ModelError(
                    f"{type(base).__name__} has no activation checkpointing", remedy="Train it without checkpointing."
                )
            # renamed in transformers 5.2x; the old name warns where the new one exists
            enable = getattr(base, "activation_checkpointing_enable", None) or base.gradient_checkpointing_enable
            # Dropout is off: there is no randomness whose state would have to be kept for the second run.
            enable({"use_reentrant": False, "preserve_rng_state": False})

    def __call__(self, packed: Packed) -> Tensor:
        """Last hidden states, [T, H]: index them with `packed.predictors` (a head) or `packed.ends` (a reward)."""
        if self.checkpointing and torch.is_grad_enabled():
            body_of(self.model).train()  # transformers checkpoints in train mode only; dropout is off in any
        if self.shared is None:
            self.shared = self._share()
        if self.shared:
            try:
                return hidden_states(self.model, packed)
            except Unshareable as reason:  # of this batch alone: longer than a window, say
                self._tell(str(reason))
        return hidden_states_padded(self.model, packed)

    def _share(self) -> bool:
        """Switch the model's attention to trees and see whether it computes the same; switch back if not."""
        base = unwrap(self.model)
        config = base.config
        before = config._attn_implementation
        probe = _probe(config).to(next(self.model.parameters()).device)
        device = probe.token_ids.device.type
        with torch.no_grad(), torch.autocast(device, enabled=False):  # its rounding would hide small differences
            expected = hidden_states_padded(self.model, probe)
            if not expected.isfinite().all():
                raise ModelError(
                    "its hidden states are not finite, so some weights are not",
                    where=base.name_or_path or type(base).__name__,
                    remedy="The model is broken, or was trained until it diverged: use an earlier one.",
                )
            reason = "it does not use transformers' attention interface"
            if before == NAME or base._can_set_attn_implementation():
                base.set_attn_implementation(NAME)
                try:
                    reason = _difference(hidden_states(self.model, probe), expected)
                except Unshareable as error:
                    reason = str(error)
                except Exception as error:  # whatever it is: the padded path just worked, and the warning says it
                    reason = f"on a token tree it fails with {type(error).__name__}: {error}"
        if not reason:
            return True
        if config._attn_implementation != before:
            base.set_attn_implementation(before)
        self._tell(reason)
        return False

    def _tell(self, reason: str) -> None:
        if reason not in self._told:
            self._told.add(reason)
            name = type(unwrap(self.model)).__name__
            warnings.warn(
                f"{name}: {reason}. Batches are padded and prompts copied for each response instead; "
                "results are the same, time and memory are not.",
                PaddedPath,
                stacklevel=3,
            )


def _probe(config: Any) -> Packed:
    """Two small trees with everything that can go wrong: several branches, one empty, a neighbour."""
    vocabulary = config.get_text_config().vocab_size
    tokens = [(7919 * i + 11) % vocabulary for i in range(1, 28)]

    def branch(ids: Sequence[int]) -> Branch:
        return Branch(list(ids), [True] * len(ids))

    return pack(
        [
            Tree(tokens[:6], [branch(tokens[6:10]), branch(tokens[10:11]), branch([]), branch(tokens[11:17])]),
            Tree(tokens[17:20], [branch(tokens[20:24]), branch(tokens[24:])]),
        ]
    )


def _difference(found: Tensor, expected: Tensor) -> str:
    """Empty if they agree to the rounding of their type, else what to say."""
    tolerance = 1e-4 if expected.dtype in (torch.float32, torch.float64) else 5e-2
    found, expected = found.float(), expected.float()
    off = ((found - expected).norm() / expected.norm()).item()
    return "" if off <= tolerance else f"on token trees its hidden states come out different (by {off:.1%})"
