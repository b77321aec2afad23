"""What decides the numbers that a model gives, as one hash of content: no names, dates or places.

Everything is read and hashed each time. Modification times would be faster to compare, and can be wrong: a copy keeps
them, a clock may go back, and a file that is written twice within a tick of it looks unchanged.
"""

from __future__ import annotations

import functools
import hashlib
import importlib.resources
import json
from importlib.metadata import version
from importlib.resources.abc import Traversable
from pathlib import Path
from typing import Any

import torch
import transformers
from torch import Tensor, nn

from truing.models.loading import base_of_adapter, locate

__all__ = ["of_code", "of_folder", "of_model"]

_NOT_MEANT = {"_name_or_path", "transformers_version", "_attn_implementation", "attn_implementation", "architectures"}
"""Keys of a config that say where it came from, or how and not what is computed."""


def of_model(model: nn.Module) -> str:
    """Of the weights and buffers in memory, in their type, with their names, shapes and ties, and of the config."""
    digest = hashlib.sha256(type(model).__name__.encode())
    config: Any = getattr(model, "config", None)
    if config is not None:
        said = {key: value for key, value in config.to_dict().items() if key not in _NOT_MEANT}
        _add(digest, json.dumps(said, sort_keys=True, default=str))
    seen: dict[int, str] = {}
    for kind in (model.named_parameters(remove_duplicate=False), model.named_buffers(remove_duplicate=False)):
        for name, tensor in kind:
            first = seen.setdefault(id(tensor), name)
            _add(digest, f"{name} {first} {tensor.dtype} {tuple(tensor.shape)}")
            if first == name:
                digest.update(_bytes(tensor))
    return digest.hexdigest()


def of_folder(source: str | Path) -> str:
    """Of the files that a model is loaded from, byte by byte; of an adapter with those of its base."""
    folder = locate(source)
    digest = hashlib.sha256()
    files = [path for path in folder.iterdir() if path.suffix == ".safetensors" or path.name.endswith(".index.json")]
    files += [path for name in ("config.json", "adapter_config.json") if (path := folder / name).is_file()]
    for path in sorted(files):
        with path.open("rb") as file:
            _add(digest, f"{path.name} {hashlib.file_digest(file, 'sha256').hexdigest()}")
    if (folder / "adapter_config.json").is_file():
        _add(digest, of_folder(base_of_adapter(folder)))
    return digest.hexdigest()


@functools.cache
def of_code() -> str:
    """Of the code that a log-probability comes out of: our files that run models, and the versions of those below.

    Read once: who edits the files later does not change what this process has imported.
    """
    versions = f"torch {torch.__version__} transformers {transformers.__version__} peft {version('peft')}"
    digest = hashlib.sha256(versions.encode())
    package = importlib.resources.files("truing")
    files: list[Traversable] = [package / "tree.py"]
    files += [file for file in (package / "models").iterdir() if file.name.endswith(".py")]
    for file in sorted(files, key=lambda file: file.name):
        _add(digest, f"{file.name} {hashlib.sha256(file.read_bytes()).hexdigest()}")
    return digest.hexdigest()


def _add(digest: Any, text: str) -> None:
    """A text with its length before it, so that two texts never run into one another."""
    data = text.encode()
    digest.update(len(data).to_bytes(8, "little"))
    digest.update(data)


def _bytes(tensor: Tensor) -> Any:
    return tensor.detach().cpu().contiguous().reshape(-1).view(torch.uint8).numpy()
