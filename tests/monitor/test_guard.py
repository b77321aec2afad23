"""What a run does with what is found: it writes it down, stops, or goes back; and a cut changes nothing of that."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file

from truing import checkpoint, recipe
from truing.errors import NotFiniteError, TrainingError
from truing.monitor import CONDITIONS, Finding, History, Seen, condition
from truing.record import read_record
from truing.train import train

SMALL = {
    "update.batch_size": 8,
    "update.learning_rate": 1e-3,
    "update.schedule": "constant",
    "update.warmup": 0.0,
    "validation_share": 0.0,
}

SEVEN = {"update.steps": 7}


@pytest.fixture(autouse=True)
def too_fast() -> Iterator[None]:
    """A condition that holds at step 5 while the learning rate is the whole one, since step 4."""

    @condition(needs=("lr",), advice="Slower.", source="this test", action="log")
    def too_fast(history: History, *, most: float = 6e-4) -> Seen | None:
        """Too fast."""
        rates = history["lr"]
        return Seen(f"the rate is {rates.last:g}", since=4) if len(rates) > 4 and rates.last > most else None

    yield
    del CONDITIONS["too_fast"]


def _recipe(model: Path, data: Path, action: str, **more: Any) -> recipe.Recipe:
    chosen = {
        "model.path": str(model),
        "data.train": str(data),
        "monitor.actions": {"too_fast": action},
        "save_every": 2,
    }
    return recipe.load("sft", {**SMALL, **chosen, **more})


def _lines(path: Path) -> list[dict[str, Any]]:
    return [json.loads(line) for line in path.read_text().splitlines()]


def _weights(folder: Path) -> dict[str, torch.Tensor]:
    return load_file(folder / "model" / "model.safetensors")


def _same(a: Path, b: Path) -> bool:
    left, right = _weights(a), _weights(b)
    return all(torch.equal(left[name], right[name]) for name in left)


def test_what_is_logged_is_in_the_file_and_the_result_and_not_told(
    toy_folder: Path, demonstrations: Path, tmp_path: Path
) -> None:
    told: list[Finding] = []
    done = train(_recipe(toy_folder, demonstrations, "log", **SEVEN), tmp_path / "run", tell=told.append)
    assert told == []
    (line,) = _lines(tmp_path / "run" / "findings.jsonl")
    assert (line["step"], line["since"], line["condition"], line["action"]) == (5, 4, "too_fast", "log")
    assert (line["means"], line["advice"], line["source"]) == ("Too fast.", "Slower.", "this test")
    assert [(row["condition"], row["first"], row["last"], row["steps"]) for row in done.findings] == [
        ("too_fast", 5, 7, 3)
    ]
    assert json.loads((tmp_path / "run" / "result.json").read_text())["findings"] == done.findings


def test_a_run_stops_with_one_message_and_its_checkpoints_and_goes_on_when_told_to(
    toy_folder: Path, demonstrations: Path, tmp_path: Path
) -> None:
    out = tmp_path / "run"
    said = r"(?s)step 5: stopped by the monitor, too_fast: the rate is 0.001.*Slower.*began at step 4.*too_fast=warn"
    with pytest.raises(TrainingError, match=said):
        train(_recipe(toy_folder, demonstrations, "stop", **SEVEN), out)
    assert not (out / "result.json").exists()
    assert checkpoint.before(out / "checkpoints", 4) == out / "checkpoints" / "step-00000002"
    assert checkpoint.latest(out / "checkpoints") == out / "checkpoints" / "step-00000005"
    steps: list[int] = []
    with pytest.raises(TrainingError, match=said):
        train(
            _recipe(toy_folder, demonstrations, "stop", **SEVEN),
            out,
            resume=True,
            watch=lambda s: steps.append(s.number),
        )
    assert steps == [], "it is where it was, and still asks to stop"
    told: list[Finding] = []
    going = _recipe(toy_folder, demonstrations, "warn", **SEVEN)
    train(going, out, resume=True, watch=lambda s: steps.append(s.number), tell=told.append)
    assert steps == [6, 7]
    assert told == [], "it was told before"
    train(_recipe(toy_folder, demonstrations, "log", **SEVEN), tmp_path / "whole")
    assert _same(out, tmp_path / "whole"), "the monitor only looks on"


class _Cut(Exception):
    pass


def test_a_run_goes_back_to_before_the_finding_and_on_with_half_the_learning_rate_cut_or_not(
    toy_folder: Path, demonstrations: Path, tmp_path: Path
) -> None:
    chosen = _recipe(toy_folder, demonstrations, "rollback", **SEVEN)
    steps: list[int] = []
    train(chosen, tmp_path / "whole", watch=lambda step: steps.append(step.number))
    assert steps == [1, 2, 3, 4, 5, 3, 4, 5, 6, 7], (
        "it held since step 4; the newest checkpoint before is that of step 2"
    )
    record = read_record(tmp_path / "whole")
    assert [line["step"] for line in record] == [1, 2, 3, 4, 5, 6, 7]
    assert [line["lr"] for line in record] == pytest.approx([1e-3] * 2 + [5e-4] * 5)
    (row,) = json.loads((tmp_path / "whole" / "rollbacks.json").read_text())
    assert (row["condition"], row["step"], row["to"]) == ("too_fast", 5, 2)
    for cut_at in (4, 6):  # its second time, after going back, for step 6
        out = tmp_path / f"cut-{cut_at}"

        def cut(step: Any, at: int = cut_at) -> None:
            if step.number == at:
                raise _Cut

        with pytest.raises(_Cut):
            train(chosen, out, watch=cut)
        train(chosen, out, resume=True)
        assert _same(tmp_path / "whole", out)
        assert [line["lr"] for line in read_record(out)] == [line["lr"] for line in record]


def test_a_run_goes_back_only_so_often_and_only_where_it_can(
    toy_folder: Path, demonstrations: Path, tmp_path: Path
) -> None:
    always = {"update.steps": 7, "monitor.limits": {"too_fast": {"most": 0.0}}, "monitor.rollbacks": 1}
    with pytest.raises(
        TrainingError, match="too_fast.*went back 1 times already, as often as monitor.rollbacks allows"
    ):
        train(_recipe(toy_folder, demonstrations, "rollback", **always), tmp_path / "often")
    few = {"save_every": 4, "keep": 1, "update.steps": 7}
    with pytest.raises(TrainingError, match="no checkpoint from before it is left: a smaller record.save_every"):
        train(_recipe(toy_folder, demonstrations, "rollback", **few), tmp_path / "few")


def test_a_loss_that_is_no_number_is_a_finding_too(toy_folder: Path, demonstrations: Path, tmp_path: Path) -> None:
    told: list[Finding] = []
    wild = {"update.steps": 4, "update.learning_rate": 1e30, "save_every": 1}
    with pytest.raises(NotFiniteError, match="step 2: the loss is"):
        train(_recipe(toy_folder, demonstrations, "log", **wild), tmp_path / "run", tell=told.append)
    assert [(f.condition, f.action, f.step) for f in told] == [("not_finite", "stop", 2)]
    assert _lines(tmp_path / "run" / "findings.jsonl")[-1]["condition"] == "not_finite"
    back = {**wild, "monitor.actions": {"not_finite": "rollback"}}
    with pytest.raises(TrainingError, match="step 2: stopped by the monitor, not_finite.*went back 2 times"):
        train(_recipe(toy_folder, demonstrations, "log", **back), tmp_path / "back")
    assert [row["to"] for row in json.loads((tmp_path / "back" / "rollbacks.json").read_text())] == [1, 1]
