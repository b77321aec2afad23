"""What a run says about itself: numbers per step in `record.jsonl` and TensorBoard, texts in `samples.jsonl`.

One JSON object a line, flushed as it is written, so that a killed run has lost nothing but the line it was writing.
JSON has no name for a number that is not finite: it is written as the string "NaN", "Infinity" or "-Infinity" and
read back as the number.
"""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import TracebackType
from typing import IO, TYPE_CHECKING, Any, Self

from truing.errors import DataError

if TYPE_CHECKING:
    from torch.utils.tensorboard import SummaryWriter

__all__ = ["RECORD", "SAMPLES", "TENSORBOARD", "Recorder", "json_safe", "read_record", "read_samples", "replace_text"]

RECORD = "record.jsonl"
SAMPLES = "samples.jsonl"
TENSORBOARD = "tensorboard"

_NOT_FINITE = {"NaN": math.nan, "Infinity": math.inf, "-Infinity": -math.inf}


class Recorder:
    """Writes the record of one run into `folder`.

    `resume_step` is the number of steps that the checkpoint had done: what was recorded after it will happen again
    and is dropped. None begins anew; what an earlier run left in these files is removed.
    """

    def __init__(self, folder: Path, *, resume_step: int | None, tensorboard: bool = True) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.folder = folder
        self._record = _reopen(folder / RECORD, resume_step)
        self._samples = _reopen(folder / SAMPLES, resume_step)
        self._board = _board(folder / TENSORBOARD, resume_step) if tensorboard else None

    def write(self, step: int, metrics: Mapping[str, float]) -> None:
        """One line: `{"step": step, **metrics}`. A step may have several, an evaluation for one."""
        assert "step" not in metrics, "`step` is the name of the step, no metric may take it"
        _append(self._record, {"step": step, **metrics})
        if self._board is not None:
            for name, value in metrics.items():
                self._board.add_scalar(name, value, step)

    def sample(self, step: int, rows: Iterable[Mapping[str, Any]]) -> None:
        """Texts that the policy wrote at this step, one line each: `{"step": step, **row}`."""
        for row in rows:
            assert "step" not in row, "`step` is the name of the step, no column may take it"
            _append(self._samples, {"step": step, **row})

    def close(self) -> None:
        self._record.close()
        self._samples.close()
        if self._board is not None:
            self._board.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


def read_record(folder: Path) -> list[dict[str, float]]:
    """The lines of a run's `record.jsonl`, oldest first: `step` (an int) and the metrics.

    A last line that was cut off is left out: the run was killed while writing it. `DataError` for any other line
    that is no record, or where there is no record at all.
    """
    path = folder / RECORD
    if not path.is_file():
        raise DataError("there is no record here", where=str(path), remedy="Give the --out folder of a training run.")
    return [{name: _NOT_FINITE.get(value, value) for name, value in line.items()} for line in _lines(path)]


def read_samples(folder: Path) -> list[dict[str, Any]]:
    """The lines of a run's `samples.jsonl`; none where the run wrote no samples."""
    path = folder / SAMPLES
    return _lines(path) if path.is_file() else []


def json_safe(value: Any) -> Any:
    """The same value in terms of standard JSON: numbers that are not finite become their names."""
    if isinstance(value, float) and not math.isfinite(value):
        return "NaN" if math.isnan(value) else "Infinity" if value > 0 else "-Infinity"
    if isinstance(value, Mapping):
        return {str(key): json_safe(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [json_safe(item) for item in value]
    return value


def replace_text(path: Path, text: str) -> None:
    """Write a file whole or not at all: a reader, or a power cut, sees the old text or the new one."""
    draft = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with draft.open("w", encoding="utf-8", newline="\n") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    finally:
        draft.unlink(missing_ok=True)


def _dump(row: Mapping[str, Any]) -> str:
    # ASCII escapes, because a sampled text may hold half a surrogate pair, which UTF-8 cannot carry.
    return json.dumps(json_safe(row), allow_nan=False) + "\n"


def _append(file: IO[str], row: Mapping[str, Any]) -> None:
    file.write(_dump(row))
    file.flush()


def _lines(path: Path) -> list[dict[str, Any]]:
    whole, newline, _cut_off = path.read_bytes().rpartition(b"\n")
    rows = []
    for number, line in enumerate(whole.split(b"\n") if newline else [], 1):
        try:
            row = json.loads(line)
        except ValueError:  # not JSON, or not UTF-8
            row = None
        if not isinstance(row, dict) or type(row.get("step")) is not int:
            raise DataError(
                f"this is no line of a record: {line[:80]!r}",
                where=f"{path}:{number}",
                remedy="A record is only ever appended to; restore the file, or delete the line.",
            )
        rows.append(row)
    return rows


def _reopen(path: Path, resume_step: int | None) -> IO[str]:
    kept = [row for row in _lines(path) if row["step"] <= resume_step] if resume_step and path.is_file() else []
    replace_text(path, "".join(_dump(row) for row in kept))
    return path.open("a", encoding="utf-8", newline="\n")


def _board(folder: Path, resume_step: int | None) -> SummaryWriter:
    from torch.utils.tensorboard import SummaryWriter

    if not resume_step:
        # Only the event files: the folder may hold something of the user's.
        for old in folder.glob("events.out.tfevents.*"):
            old.unlink()
    # TensorBoard hides what older files say about the steps from `purge_step` on.
    return SummaryWriter(folder, purge_step=resume_step + 1 if resume_step else None, flush_secs=10)
