"""Several adapters on one base -> one plain model: linear, TIES, DARE.

What is merged are the changes of the weights, Δ = scale · B·A, each matrix by itself, with the functions of
`peft.utils.merge_utils`. Not through `add_weighted_adapter`: its result has to be an adapter of low rank again, so its
`linear`, `ties` and `dare_*` merge A and B apart, and (√w₁·B₁ + √w₂·B₂)·(√w₁·A₁ + √w₂·A₂) has cross terms B₁·A₂ that
nobody trained, while its `*_svd` cut what they merged to a rank. Here the result is a plain model, of any rank.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, get_args

import torch
from peft import PeftModel
from peft.utils import merge_utils
from safetensors import SafetensorError, safe_open
from torch import Tensor
from transformers import PreTrainedModel

from truing.errors import ModelError, UserError
from truing.models.adapters import load_adapter
from truing.models.deltas import Counter, Sparsity, layers
from truing.models.loading import base_of_adapter, load_causal_lm, read_object

__all__ = ["METHODS", "Merge", "Merged", "combined", "common_base", "merge_adapters"]

Method = Literal["linear", "ties", "dare_linear", "dare_ties"]
METHODS: tuple[str, ...] = get_args(Method)


@dataclass(frozen=True, slots=True)
class Merge:
    """How adapters are merged. `UserError` for settings that cannot mean anything."""

    by: Method = "linear"
    """linear: Σ w·Δ. ties: trim, elect signs, mean of those that agree. dare_*: drop at random and rescale first."""
    weights: tuple[float, ...] = ()
    """One for each adapter; by default 1."""
    density: float = 0.5
    """ties: the share of each matrix's entries that is kept, the largest. dare_*: the share kept at random."""
    seed: int = 0
    """dare_*: decides which entries are dropped."""

    def __post_init__(self) -> None:
        if self.by not in METHODS:
            raise UserError(f"there is no merging by `{self.by}`", where="--by", remedy=f"One of {', '.join(METHODS)}.")
        if not 0 < self.density <= 1:
            raise UserError(f"density is {self.density}", where="--density", remedy="A share: above 0, at most 1.")

    def weights_for(self, number: int) -> tuple[float, ...]:
        """As given, or 1 for each of `number` adapters."""
        if self.weights and len(self.weights) != number:
            raise UserError(
                f"{len(self.weights)} weights for {number} adapters", where="--weights", remedy="Give one for each."
            )
        return self.weights or (1.0,) * number


def combined(deltas: Sequence[Tensor], how: Merge, name: str = "") -> Tensor:
    """One Δ of several, all of one shape.

    - linear: Σ w·Δ (task arithmetic, arXiv:2212.04089).
    - ties (arXiv:2306.01708): keep the `density` largest entries of each Δ; elect for each entry the sign of the sum;
      divide Σ w·Δ over the entries of that sign by their number. So weights of 1 give the paper's mean, and 0.5 half.
    - dare_linear, dare_ties (arXiv:2311.03099): drop a random 1 − `density` of the entries of each Δ and divide the
      rest by `density`, which leaves the expectation as it was; then as above, without trimming.

    What is dropped depends on `how.seed` and `name`, the name of the matrix, and on nothing else.
    """
    assert len({delta.shape for delta in deltas}) == 1
    # On the CPU whatever the device, so that one seed means one result everywhere.
    parts = [delta.float().cpu() for delta in deltas]
    weights = torch.tensor(how.weights_for(len(parts)), dtype=torch.float32)
    if how.by == "linear":
        return merge_utils.task_arithmetic(parts, weights)
    if how.density < 1:  # at 1 nothing is dropped, and peft warns
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(zlib.crc32(f"merge/{how.seed}/{name}".encode()))
            trims: Any = "magnitude" if how.by == "ties" else "random"
            parts = [merge_utils.prune(part, how.density, trims, rescale=trims == "random") for part in parts]
    if how.by == "dare_linear":
        return merge_utils.task_arithmetic(parts, weights)
    stacked = torch.stack(parts)
    agree = merge_utils.calculate_majority_sign_mask(stacked)
    weighted = stacked * merge_utils.reshape_weight_task_tensors(stacked, weights)
    return merge_utils.disjoint_merge(weighted, agree)


@dataclass(frozen=True, slots=True)
class Merged:
    """A plain model, and how sparse each adapter's change of the weights was, and the merged one."""

    model: PreTrainedModel
    adapters: tuple[Sparsity, ...]
    result: Sparsity


def merge_adapters(folders: Sequence[Path], how: Merge, *, names: Sequence[str] | None = None) -> Merged:
    """The common base of the adapters in these folders with their merged Δ added, in the type the base is stored in.

    `ModelError` where they are of different bases, adapt different layers, or are more than plain LoRA.
    """
    shown = list(names or map(str, folders))
    how = Merge(how.by, how.weights_for(len(folders)), how.density, how.seed)
    base = common_base(folders, shown)
    for folder, name in zip(folders, shown, strict=True):
        _refuse_other_than_lora(folder, name)
    _refuse_other_layers(folders, shown)
    model: Any = load_causal_lm(base, dtype="auto")
    stored = model.dtype
    model.float()  # sums in bfloat16 would lose most of a small Δ
    for number, folder in enumerate(folders):
        model = load_adapter(model, folder, str(number))
    assert isinstance(model, PeftModel)
    counts = [Counter() for _ in range(len(folders) + 1)]
    with torch.no_grad():
        for name, layer in layers(model, "0"):
            deltas = [layer.get_delta_weight(str(number)) for number in range(len(folders))]
            change = combined(deltas, how, name)
            if not change.isfinite().all():
                raise ModelError(f"the change of `{name}` is not finite", where=", ".join(shown))
            weight = layer.get_base_layer().weight
            weight.add_(change.to(weight.device))
            for count, delta in zip(counts, (*deltas, change), strict=True):
                count.add(delta)
    result: Any = model.unload()
    result.to(stored)
    *each, last = (count.sparsity() for count in counts)
    return Merged(result, tuple(each), last)


def common_base(folders: Sequence[Path], names: Sequence[str]) -> Path:
    """The folder of the model that all these adapters belong to."""
    bases = [base_of_adapter(folder) for folder in folders]
    for base, name in zip(bases, names, strict=True):
        if base != bases[0]:
            raise ModelError(
                f"it is an adapter of {base}, and {names[0]} one of {bases[0]}",
                where=name,
                remedy="Only adapters of one base can be merged: train both on the same --model.",
            )
    return bases[0]


# What peft's LoRA may have besides A, B and a scale; all of it is false, none or empty in a plain one.
_BESIDES = (
    *("use_dora", "lora_bias", "modules_to_save", "trainable_token_indices", "target_parameters"),
    *("alora_invocation_tokens", "arrow_config", "kasa_config", "layer_replication", "use_qalora"),
)
_MOVE_THE_BASE = ("pissa", "olora", "corda", "loftq", "lora_ga")
"""Ways to draw A and B that change the base's weights: its Δ is then not that of the stored base."""


def _refuse_other_than_lora(folder: Path, name: str) -> None:
    said = read_object(folder / "adapter_config.json")
    if said.get("peft_type") != "LORA":
        raise ModelError(f"it is a {said.get('peft_type')!r} adapter", where=name, remedy="Only LoRA can be merged.")
    if said.get("task_type") == "SEQ_CLS":
        raise ModelError("it is an adapter of a reward model", where=name, remedy="Export reward models one by one.")
    odd = {key: said[key] for key in _BESIDES if said.get(key)}
    if said.get("bias", "none") != "none":
        odd["bias"] = said["bias"]
    if str(said.get("init_lora_weights")).lower().startswith(_MOVE_THE_BASE):
        odd["init_lora_weights"] = said["init_lora_weights"]
    for key, value in odd.items():
        raise ModelError(
            f"it has {key} = {value!r}: more than a change of the weights by B·A",
            where=name,
            remedy="Export it alone, or train it as plain LoRA.",
        )


def _refuse_other_layers(folders: Sequence[Path], names: Sequence[str]) -> None:
    found = [_adapted(folder, name) for folder, name in zip(folders, names, strict=True)]
    for adapted, name in zip(found, names, strict=True):
        if odd := sorted(adapted ^ found[0]):
            has, lacks = (name, names[0]) if odd[0] in adapted else (names[0], name)
            raise ModelError(
                f"the adapters change different layers: {has} changes `{odd[0]}`, and {lacks} does not",
                where=name,
                remedy="Train both with the same model.lora.target_modules.",
            )


def _adapted(folder: Path, name: str) -> set[str]:
    """The layers that an adapter changes, read off the names of its weights."""
    file = folder / "adapter_model.safetensors"
    if not file.is_file():
        raise ModelError("there is no adapter_model.safetensors in this adapter folder", where=name)
    try:
        with safe_open(file, framework="pt") as weights:
            keys = list(weights.keys())
    except (SafetensorError, OSError) as error:
        raise ModelError(f"its weights cannot be read: {error}", where=name) from error
    return {key.split(".lora_")[0].removeprefix("base_model.model.") for key in keys}
