"""The record of a run, as a killed and resumed run leaves it."""

import json
import math
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

from truing.errors import DataError
from truing.record import RECORD, SAMPLES, TENSORBOARD, Recorder, json_safe, read_record, read_samples, replace_text


def record(folder: Path, steps: range, *, resume_step: int | None = None, tensorboard: bool = False) -> None:
    with Recorder(folder, resume_step=resume_step, tensorboard=tensorboard) as recorder:
        for step in steps:
            recorder.write(step, {"loss": 1 / step})
            recorder.sample(step, [{"prompt": "p", "completion": f"answer {step}"}])


def test_what_is_written_is_read_back(tmp_path: Path) -> None:
    record(tmp_path, range(1, 3))
    assert read_record(tmp_path) == [{"step": 1, "loss": 1.0}, {"step": 2, "loss": 0.5}]
    assert read_samples(tmp_path)[1] == {"step": 2, "prompt": "p", "completion": "answer 2"}


def test_each_line_is_on_disk_before_the_next_step(tmp_path: Path) -> None:
    recorder = Recorder(tmp_path, resume_step=None, tensorboard=False)
    recorder.write(1, {"loss": 2.0})
    assert read_record(tmp_path) == [{"step": 1, "loss": 2.0}]
    recorder.close()


def test_a_cut_and_resumed_run_leaves_the_same_bytes_as_one_that_was_not(tmp_path: Path) -> None:
    whole, cut = tmp_path / "whole", tmp_path / "cut"
    record(whole, range(1, 9))
    record(cut, range(1, 7))
    record(cut, range(5, 9), resume_step=4)
    for name in (RECORD, SAMPLES):
        assert (cut / name).read_bytes() == (whole / name).read_bytes()


def test_a_half_written_last_line_is_left_out_and_does_not_spoil_the_next(tmp_path: Path) -> None:
    record(tmp_path, range(1, 4))
    with (tmp_path / RECORD).open("a") as file:
        file.write('{"step": 4, "lo')
    assert [row["step"] for row in read_record(tmp_path)] == [1, 2, 3]
    record(tmp_path, range(4, 5), resume_step=3)
    assert [row["step"] for row in read_record(tmp_path)] == [1, 2, 3, 4]


def test_a_run_begun_anew_or_resumed_before_its_first_checkpoint_keeps_nothing_old(tmp_path: Path) -> None:
    for resume_step in (None, 0):
        record(tmp_path, range(1, 6))
        record(tmp_path, range(1, 2), resume_step=resume_step)
        assert [row["step"] for row in read_record(tmp_path)] == [1]
        assert len(read_samples(tmp_path)) == 1


def test_a_broken_line_in_the_middle_stops_with_file_and_line(tmp_path: Path) -> None:
    (tmp_path / RECORD).write_text('{"step": 1, "loss": 1.0}\ngarbage\n{"step": 3, "loss": 1.0}\n')
    with pytest.raises(DataError, match=r"record\.jsonl:2: this is no line of a record: b'garbage'"):
        read_record(tmp_path)


def test_no_record_says_so(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="there is no record here"):
        read_record(tmp_path)


def test_numbers_that_are_not_finite_are_standard_json_and_come_back(tmp_path: Path) -> None:
    with Recorder(tmp_path, resume_step=None, tensorboard=False) as recorder:
        recorder.write(1, {"loss": math.nan, "kl": math.inf, "reward": -math.inf})

    def refuse(name: str) -> None:
        raise AssertionError(f"{name} is not JSON")

    line = json.loads((tmp_path / RECORD).read_text(), parse_constant=refuse)
    assert line == {"step": 1, "loss": "NaN", "kl": "Infinity", "reward": "-Infinity"}
    row = read_record(tmp_path)[0]
    assert math.isnan(row["loss"])
    assert (row["kl"], row["reward"]) == (math.inf, -math.inf)


def test_a_sample_with_newlines_and_half_a_surrogate_pair_stays_one_line(tmp_path: Path) -> None:
    text = "two\nlines \u2028 and \ud83d half a face"
    with Recorder(tmp_path, resume_step=None, tensorboard=False) as recorder:
        recorder.sample(1, [{"completion": text}])
    assert (tmp_path / SAMPLES).read_bytes().count(b"\n") == 1
    assert read_samples(tmp_path)[0]["completion"] == text


def test_tensorboard_has_the_same_numbers_once_after_a_resume(tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    record(tmp_path, range(1, 7), tensorboard=True)
    time.sleep(1.1)  # event files are named by the second and read in that order
    record(tmp_path, range(4, 9), resume_step=3, tensorboard=True)
    events = accumulator.EventAccumulator(str(tmp_path / TENSORBOARD))
    events.Reload()
    scalars = events.Scalars("loss")
    assert [scalar.step for scalar in scalars] == [1, 2, 3, 4, 5, 6, 7, 8]
    assert [scalar.value for scalar in scalars] == pytest.approx([1 / step for step in range(1, 9)])


def test_tensorboard_of_a_run_begun_anew_forgets_the_old_one(tmp_path: Path) -> None:
    accumulator = pytest.importorskip("tensorboard.backend.event_processing.event_accumulator")
    record(tmp_path, range(1, 7), tensorboard=True)
    record(tmp_path, range(1, 3), tensorboard=True)
    events = accumulator.EventAccumulator(str(tmp_path / TENSORBOARD))
    events.Reload()
    assert [scalar.step for scalar in events.Scalars("loss")] == [1, 2]


def test_a_writer_killed_with_sigkill_leaves_a_readable_record(tmp_path: Path) -> None:
    writer = (
        "import sys; from pathlib import Path; from truing.record import Recorder\n"
        "recorder = Recorder(Path(sys.argv[1]), resume_step=None, tensorboard=False)\n"
        "for step in range(1, 10**9): recorder.write(step, {'loss': 1 / step})"
    )
    process = subprocess.Popen([sys.executable, "-c", writer, str(tmp_path)])
    path = tmp_path / RECORD
    give_up = time.monotonic() + 30
    while not (path.exists() and path.stat().st_size > 5000) and time.monotonic() < give_up:
        time.sleep(0.02)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    steps = [row["step"] for row in read_record(tmp_path)]
    assert steps == list(range(1, len(steps) + 1))
    assert len(steps) > 50


def test_importing_the_recorder_imports_no_torch() -> None:
    code = "import sys, truing.record; sys.exit('torch' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0


def test_json_safe_reaches_into_lists_and_mappings() -> None:
    assert json_safe({"a": [1.5, math.nan, (math.inf, None)], 2: "x"}) == {
        "a": [1.5, "NaN", ["Infinity", None]],
        "2": "x",
    }


def test_a_text_that_cannot_be_encoded_leaves_the_old_file_and_no_draft(tmp_path: Path) -> None:
    path = tmp_path / "file.txt"
    replace_text(path, "old")
    with pytest.raises(UnicodeEncodeError):
        replace_text(path, "\ud83d")
    assert path.read_text() == "old"
    assert list(tmp_path.iterdir()) == [path]
