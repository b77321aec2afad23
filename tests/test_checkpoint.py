from __future__ import annotations

import random
from pathlib import Path

import pytest
import torch
from torch import nn

from truing import checkpoint
from truing.errors import TrainingError


def _made(seed: int = 0) -> tuple[nn.Module, torch.optim.AdamW]:
    torch.manual_seed(seed)
    model = nn.Sequential(nn.Linear(3, 4), nn.Linear(4, 1))
    return model, torch.optim.AdamW(model.parameters(), lr=0.1)


def _step(model: nn.Module, optimizer: torch.optim.Optimizer) -> None:
    model(torch.randn(5, 3)).pow(2).mean().backward()
    optimizer.step()
    optimizer.zero_grad()


def test_going_on_from_a_checkpoint_is_going_on_as_if_nothing_had_happened(tmp_path: Path) -> None:
    model, optimizer = _made()
    for _ in range(3):
        _step(model, optimizer)
    checkpoint.save(tmp_path, 3, model, optimizer, experience={"kl_coefficient": 0.1})
    for _ in range(3):
        _step(model, optimizer)
    drawn = random.random()

    other, other_optimizer = _made(seed=1)
    place = checkpoint.latest(tmp_path)
    assert place is not None
    assert checkpoint.restore(place, other, other_optimizer) == (3, {"kl_coefficient": 0.1})
    for _ in range(3):
        _step(other, other_optimizer)
    assert all(torch.equal(a, b) for a, b in zip(model.parameters(), other.parameters(), strict=True))
    assert random.random() == drawn


def test_a_draft_of_a_killed_process_is_no_checkpoint_and_goes(tmp_path: Path) -> None:
    model, optimizer = _made()
    checkpoint.save(tmp_path, 1, model, optimizer)
    draft = tmp_path / ".step-00000002.99"
    draft.mkdir()
    (draft / "weights.safetensors").write_bytes(b"half")
    found = checkpoint.latest(tmp_path)
    assert found is not None
    assert found.name == "step-00000001"
    assert not draft.exists()


def test_only_the_newest_are_kept(tmp_path: Path) -> None:
    model, optimizer = _made()
    for step in (1, 2, 3, 12):
        checkpoint.save(tmp_path, step, model, optimizer, keep=2)
    assert sorted(p.name for p in tmp_path.iterdir()) == ["step-00000003", "step-00000012"]


def test_no_checkpoint_is_none(tmp_path: Path) -> None:
    assert checkpoint.latest(tmp_path / "nowhere") is None


def test_a_checkpoint_of_another_model_is_refused_by_name(tmp_path: Path) -> None:
    model, optimizer = _made()
    place = checkpoint.save(tmp_path, 1, model, optimizer)
    other = nn.Linear(3, 4)
    with pytest.raises(TrainingError, match=r"`0.bias` is trained in one of"):
        checkpoint.restore(place, other, torch.optim.AdamW(other.parameters()))


def test_nothing_in_a_checkpoint_is_a_pickle(tmp_path: Path) -> None:
    model, optimizer = _made()
    _step(model, optimizer)
    place = checkpoint.save(tmp_path, 1, model, optimizer)
    assert sorted(p.name for p in place.iterdir()) == [
        "optimizer.safetensors",
        "rng.safetensors",
        "state.json",
        "weights.safetensors",
    ]


def test_what_a_finished_run_leaves_behind_is_deleted_and_nothing_else(tmp_path: Path) -> None:
    folder = tmp_path / "checkpoints"
    (folder / "step-00000002").mkdir(parents=True)
    (folder / "step-00000002" / "state.json").write_text("{}")
    (folder / ".step-00000004.77").mkdir()
    checkpoint.discard(folder)
    assert not folder.exists()
    checkpoint.discard(folder)
    (folder / "mine").mkdir(parents=True)
    checkpoint.discard(folder)
    assert (folder / "mine").exists()
