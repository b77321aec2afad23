"""Runs, adapters and models -> one plain Hugging Face folder (`truing export`)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from truing.errors import ModelError, UserError
from truing.models.adapters import load_adapter, merged
from truing.models.deltas import Counter, Sparsity, layers
from truing.models.heads import load_reward_model
from truing.models.loading import base_of_adapter, load_causal_lm, load_tokenizer, locate, read_object
from truing.models.merging import Merge, merge_adapters
from truing.models.saving import read_metadata, save_model

__all__ = ["Export", "export", "settings"]


@dataclass(frozen=True, slots=True)
class Export:
    """What was written, and what of."""

    folder: Path
    models: tuple[str, ...]
    how: Merge | None
    """None: nothing was merged with anything but its base."""
    adapters: tuple[Sparsity, ...]
    result: Sparsity | None
    notes: tuple[str, ...] = ()

    def text(self) -> str:
        """A line for each adapter and for what they became."""
        rows = list(zip(self.models, self.adapters, strict=False))
        if self.result is not None and self.how is not None:
            rows.append((f"merged by {self.how.by}", self.result))
        width = max((len(name) for name, _ in rows), default=0)
        lines = [f"{'change of the weights':{width}}  {'zero':>7}  {'< 1e-5':>7}  mean |change|"] if rows else []
        for name, s in rows:
            lines.append(f"{name:{max(width, 21)}}  {s.zero:7.1%}  {s.near_zero:7.1%}  {s.mean:.3g}")
        lines += [f"note: {note}" for note in self.notes]
        return "\n".join([*lines, f"model: {self.folder}"])


def settings(by: str = "linear", weights: str | None = None, density: float = 0.5, seed: int = 0) -> Merge:
    """What the command line says of merging; `UserError` for what cannot mean anything."""
    try:
        numbers = tuple(float(part) for part in weights.split(",")) if weights else ()
    except ValueError as error:
        raise UserError(f"`{weights}` are no numbers", where="--weights", remedy="As in --weights 0.5,0.5") from error
    return Merge(by, numbers, density, seed)  # type: ignore[arg-type]  # Merge looks the name up


def export(models: Sequence[str], out: Path, how: Merge | None = None) -> Export:
    """Write one plain folder of one model (its adapter merged into its base), or of several adapters on one base.

    `models` are folders of runs or of adapters, for one model also any folder or hub name. `how` is for several only.
    """
    if not models:
        raise UserError("no model is given", remedy="truing export MODEL... --out FOLDER")
    out = out.expanduser()
    for model in models:
        if out.resolve() == Path(model).expanduser().resolve():
            raise UserError(f"--out is the model itself ({model})", remedy="Choose a new folder.")
    places = [_adapter_of(model) for model in models]
    if len(models) == 1:
        if how is not None and how != Merge():
            raise UserError("one model has nothing to be merged with", remedy="--by and its settings need several.")
        return _one(models[0], places[0], out)
    for model, place in zip(models, places, strict=True):
        if place is None:
            raise ModelError(
                "this is a whole model, and only adapters can be merged",
                where=model,
                remedy="Train it with adapters (--set lora.r=16): the run then has a folder `adapter`.",
            )
    folders = [place for place in places if place is not None]
    how = replace(how or Merge(), weights=(how or Merge()).weights_for(len(folders)))
    done = merge_adapters(folders, how, names=models)
    tokenizers = [load_tokenizer(folder) for folder in folders]
    notes = []
    if len({t.chat_template if isinstance(t.chat_template, str) else "" for t in tokenizers}) > 1:
        notes.append(f"the chat templates differ; the one of {models[0]} is written")
    about: dict[str, Any] = {"merged": {"adapters": list(models), "by": how.by, "weights": list(how.weights)}}
    if how.by != "linear":
        about["merged"]["density"] = how.density
    if how.by.startswith("dare"):
        about["merged"]["seed"] = how.seed
    save_model(done.model, tokenizers[0], out, metadata=about)
    return Export(out, tuple(models), how, done.adapters, done.result, tuple(notes))


def _adapter_of(model: str) -> Path | None:
    """The adapter's folder where a model is one, or a run that trained one."""
    folder = Path(model).expanduser()
    if (folder / "recipe.yaml").is_file() and (folder / "adapter" / "adapter_config.json").is_file():
        return (folder / "adapter").resolve()
    place = locate(model)
    return place if (place / "adapter_config.json").is_file() else None


def _one(name: str, adapter: Path | None, out: Path) -> Export:
    """One model as it is, or one adapter in its base, in the type that the base is stored in."""
    place = adapter or locate(name)
    # How a reward model is read is written beside it, and has to come along.
    about = {k: v for k, v in read_metadata(place).items() if k in ("recipe", "reward", "merged")}
    tokenizer = load_tokenizer(place)
    if _is_reward_model(place):
        save_model(load_reward_model(place, dtype="auto"), tokenizer, out, metadata=about)
        return Export(out, (name,), None, (), None)
    if adapter is None:
        save_model(load_causal_lm(place, dtype="auto"), tokenizer, out, metadata=about)
        return Export(out, (name,), None, (), None)
    base: Any = load_causal_lm(base_of_adapter(adapter), dtype="auto")
    stored = base.dtype
    model = load_adapter(base.float(), adapter)
    change = Counter()
    for _, layer in layers(model):
        change.add(layer.get_delta_weight("default"))
    plain: Any = merged(model, copy=False)
    save_model(plain.to(stored), tokenizer, out, metadata=about)
    return Export(out, (name,), None, (change.sparsity(),), None)


def _is_reward_model(place: Path) -> bool:
    if (place / "adapter_config.json").is_file():
        return read_object(place / "adapter_config.json").get("task_type") == "SEQ_CLS"
    names = read_object(place / "config.json").get("architectures") if (place / "config.json").is_file() else None
    return str((names or [""])[0]).endswith("ForSequenceClassification")
