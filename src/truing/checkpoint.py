"""Checkpoints: what a run needs to go on as if it had never stopped.

`checkpoints/step-00000120/` holds `weights.safetensors` (what is trained), `optimizer.safetensors`, `rng.safetensors`,
`state.json`, and `experience.safetensors` where the batches to come depend on more weights. A checkpoint is written
beside its place and renamed when every byte is on disk, so that one that exists is whole. Nothing in it is a pickle.
"""

from __future__ import annotations

import json
import os
import random
import shutil
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from safetensors.torch import load_file, save_file
from torch import Tensor, nn

from truing.errors import TrainingError

__all__ = ["before", "drop_after", "latest", "restore", "save"]

_PREFIX = "step-"


def _trained(model: nn.Module) -> dict[str, nn.Parameter]:
    return {name: p for name, p in model.named_parameters() if p.requires_grad}


def save(
    folder: Path,
    step: int,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    *,
    keep: int = 2,
    experience: Mapping[str, Any] | None = None,
) -> Path:
    """Write the checkpoint of the state after `step` steps, and delete all but the newest `keep`.

    `experience` is what the batches to come depend on besides: plain data, and tensors by name under `tensors`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    place = folder / f"{_PREFIX}{step:08d}"
    if place.exists():
        return place
    draft = folder / f".{place.name}.{os.getpid()}"
    draft.mkdir()
    try:
        names = {p: name for name, p in _trained(model).items()}
        _write(draft / "weights.safetensors", {name: p.data for p, name in names.items()})
        moments = {
            f"{name}|{slot}": value for p, name in names.items() for slot, value in optimizer.state.get(p, {}).items()
        }
        _write(draft / "optimizer.safetensors", moments)
        version, words, gauss = random.getstate()
        rng = {"torch": torch.get_rng_state()}
        if torch.cuda.is_available():
            rng["cuda"] = torch.cuda.get_rng_state()
        _write(draft / "rng.safetensors", rng)
        besides = dict(experience or {})
        if tensors := besides.pop("tensors", {}):
            _write(draft / "experience.safetensors", tensors)
        state = {"step": step, "python_rng": [version, list(words), gauss], "experience": besides}
        (draft / "state.json").write_text(json.dumps(state), encoding="utf-8")
        for file in draft.iterdir():
            _sync(file)
        _sync(draft)
        draft.rename(place)
        _sync(folder)
    finally:
        shutil.rmtree(draft, ignore_errors=True)
    for old in _all(folder)[:-keep]:
        shutil.rmtree(old)
    return place


def latest(folder: Path) -> Path | None:
    """The newest whole checkpoint; drafts that a killed process left behind are removed."""
    if folder.is_dir():
        for draft in folder.glob(f".{_PREFIX}*"):
            shutil.rmtree(draft)
    found = _all(folder)
    return found[-1] if found else None


def before(folder: Path, step: int) -> Path | None:
    """The newest checkpoint of fewer than `step` steps."""
    found = [place for place in _all(folder) if _step(place) < step]
    return found[-1] if found else None


def drop_after(folder: Path, place: Path) -> None:
    """Delete the checkpoints that are newer than this one, the newest first."""
    for newer in reversed(_all(folder)):
        if _step(newer) > _step(place):
            shutil.rmtree(newer)


def discard(folder: Path) -> None:
    """Delete every checkpoint, and the folder where nothing else is in it: the run is done."""
    latest(folder)  # removes drafts
    for old in _all(folder):
        shutil.rmtree(old)
    if folder.is_dir() and not any(folder.iterdir()):
        folder.rmdir()


def restore(place: Path, model: nn.Module, optimizer: torch.optim.Optimizer) -> tuple[int, dict[str, Any]]:
    """Put everything back as it was; returns the number of steps done, and what `save` was given of the experience.

    `TrainingError` when the checkpoint is of another model.
    """
    trained = _trained(model)
    weights = load_file(place / "weights.safetensors")
    if weights.keys() != trained.keys():
        odd = sorted(weights.keys() ^ trained.keys())[0]
        raise TrainingError(
            f"`{odd}` is trained in one of the checkpoint and this run, not in both",
            where=str(place),
            remedy="Resume with the model and recipe that the run began with.",
        )
    with torch.no_grad():
        for name, parameter in trained.items():
            parameter.copy_(weights[name])
    for key, value in load_file(place / "optimizer.safetensors").items():
        name, _, slot = key.rpartition("|")
        parameter = trained[name]
        # AdamW keeps its step counter on the CPU, its moments beside the parameter.
        optimizer.state[parameter][slot] = value if value.ndim == 0 else value.to(parameter.device)
    rng = load_file(place / "rng.safetensors")
    torch.set_rng_state(rng["torch"])
    if "cuda" in rng and torch.cuda.is_available():
        torch.cuda.set_rng_state(rng["cuda"])
    state: dict[str, Any] = json.loads((place / "state.json").read_text(encoding="utf-8"))
    version, words, gauss = state["python_rng"]
    random.setstate((version, tuple(words), gauss))
    besides = dict(state.get("experience", {}))
    if (place / "experience.safetensors").exists():
        besides["tensors"] = load_file(place / "experience.safetensors")
    return int(state["step"]), besides


def _step(place: Path) -> int:
    return int(place.name.removeprefix(_PREFIX))


def _all(folder: Path) -> list[Path]:
    return sorted(p for p in folder.glob(f"{_PREFIX}*") if p.is_dir())


def _write(path: Path, tensors: dict[str, Tensor]) -> None:
    save_file({name: t.detach().contiguous() for name, t in tensors.items()}, path)


def _sync(path: Path) -> None:
    handle = os.open(path, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
