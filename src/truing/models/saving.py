"""A model -> a plain Hugging Face folder, whole or not at all.

The folder is written next to its place, flushed to disk, and put there in one step: whoever looks, or whatever is
killed when, finds the old folder or the new one.
"""

from __future__ import annotations

import ctypes
import json
import os
import shutil
from collections.abc import Mapping
from fnmatch import fnmatch
from pathlib import Path
from typing import Any

from peft import PeftModel
from safetensors import SafetensorError
from torch import nn
from transformers import PreTrainedModel, PreTrainedTokenizerBase

from truing import __version__
from truing.errors import ModelError
from truing.models.adapters import merged
from truing.models.forward import unwrap
from truing.models.loading import quiet, read_object

__all__ = ["METADATA", "read_metadata", "save_model"]

METADATA = "truing.json"

# What a model folder consists of, and nothing else that a person may have put there.
_PARTS = (
    *("*.safetensors", "*.json", "*.jinja", "*.model", "*.tiktoken"),
    *("merges.txt", "vocab.txt", "README.md", ".gitattributes"),
)


def save_model(
    model: nn.Module,
    tokenizer: PreTrainedTokenizerBase,
    folder: str | Path,
    *,
    merge: bool = True,
    metadata: Mapping[str, Any] | None = None,
) -> None:
    """Write model, tokenizer (with its chat template) and `metadata` as a folder that transformers loads.

    Adapters are merged into a copy of the model, or with `merge=False` saved alone, as a PEFT adapter of the folder or
    hub name that the model was loaded from. A reward model is saved with `pad_token_id`, so that transformers reads the
    score where we do; if the tokenizer's PAD is its EOS, without one: transformers then scores one text at a time and
    refuses a batch, rather than read the wrong token.
    An existing model folder is replaced. `ModelError` if something else is in the way.
    """
    folder = Path(folder).expanduser()
    place = folder.resolve()  # of a link, the folder it points to is replaced
    _check_place(place, folder)
    if not merge and isinstance(model, PeftModel):
        _check_base(model, folder)
    base = unwrap(model)
    is_reward_model = type(base).__name__.endswith("ForSequenceClassification")
    if is_reward_model:
        apart = tokenizer.pad_token_id != tokenizer.eos_token_id
        base.config.get_text_config().pad_token_id = tokenizer.pad_token_id if apart else None
    draft = place.with_name(f".{place.name}.saving")
    try:
        place.parent.mkdir(parents=True, exist_ok=True)
        _remove(draft)
        draft.mkdir()
        with quiet():
            _write(model, draft, merge=merge)
            tokenizer.save_pretrained(str(draft))
        about = {
            **(metadata or {}),
            "truing": __version__,
            "kind": "reward model" if is_reward_model else "language model",
        }
        (draft / METADATA).write_text(json.dumps(about, indent=2, allow_nan=False) + "\n", encoding="utf-8")
        _flush(draft)
        _put(draft, place)
        _flush_names(place.parent)
    except (OSError, SafetensorError) as error:
        raise ModelError(
            f"the model could not be written: {error}",
            where=str(folder),
            remedy="Check space and permissions; what was there before is still there.",
        ) from error
    finally:
        _remove(draft)


def read_metadata(folder: str | Path) -> dict[str, Any]:
    """What `save_model` noted about a folder; empty for folders of other tools."""
    path = Path(folder) / METADATA
    return read_object(path) if path.is_file() else {}


def _write(model: nn.Module, draft: Path, *, merge: bool) -> None:
    if isinstance(model, PeftModel) and not merge:
        # Embeddings are not trained, and looking for their size would ask the hub.
        model.save_pretrained(str(draft), save_embedding_layers=False)
        (draft / "README.md").unlink(missing_ok=True)  # a form to be filled in, with this machine's paths
        return
    plain = merged(model)
    assert isinstance(plain, PreTrainedModel)
    plain.save_pretrained(str(draft))


def _check_place(place: Path, folder: Path) -> None:
    """Only a model folder may be replaced: a slip in a path must not cost anybody their files."""
    if place.is_dir():
        others = sorted(
            p.name for p in place.iterdir() if p.is_dir() or not any(fnmatch(p.name, part) for part in _PARTS)
        )
        known = any((place / name).is_file() for name in ("config.json", "adapter_config.json", METADATA))
        if others or not (known or not any(place.iterdir())):
            raise ModelError(
                f"this folder holds other things than a model ({(others or ['no config.json'])[0]})",
                where=str(folder),
                remedy="Choose a new folder: the whole folder would be replaced.",
            )
    elif place.exists():
        raise ModelError("this is a file", where=str(folder), remedy="Choose a folder to save the model in.")


def _check_base(model: PeftModel, folder: Path) -> None:
    if not model.active_peft_config.base_model_name_or_path:
        raise ModelError(
            "an adapter alone is of no use here: the weights that it was trained on lie in no folder",
            where=str(folder),
            remedy="Save it merged, or save the base model first and train on that.",
        )


def _flush(folder: Path) -> None:
    for path in folder.rglob("*"):
        if path.is_file():
            with path.open("rb") as file:
                os.fsync(file.fileno())
    _flush_names(folder)


def _flush_names(folder: Path) -> None:
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def _put(draft: Path, place: Path) -> None:
    """Rename; over an existing folder exchange the two, or where the system cannot, move the old one away first."""
    if not place.exists():
        draft.rename(place)
    elif not _exchange(draft, place):
        old = place.with_name(f".{place.name}.old")
        _remove(old)
        place.rename(old)
        try:
            draft.rename(place)
        except OSError:
            old.rename(place)
            raise
        _remove(old)


def _exchange(one: Path, other: Path) -> bool:
    """Swap two names in one step (Linux's renameat2); False where there is no such call."""
    try:
        renameat2 = ctypes.CDLL(None, use_errno=True).renameat2
    except (AttributeError, OSError, TypeError):
        return False
    here, exchange = -100, 2  # AT_FDCWD, RENAME_EXCHANGE
    return bool(renameat2(here, os.fsencode(one), here, os.fsencode(other), exchange) == 0)


def _remove(path: Path) -> None:
    if path.is_symlink() or path.is_file():
        path.unlink()
    elif path.is_dir():
        shutil.rmtree(path)
