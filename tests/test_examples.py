"""The examples do what they say, at toy size: their own commands, on files made here."""

from __future__ import annotations

import gzip
import json
import os
import runpy
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from truing.cli import main
from truing.record import read_record

REAL_DATA = Path(__file__).parent.parent / "examples" / "real_data"
TOY = ("--vocabulary", "300", "--hidden", "32", "--layers", "1", "--heads", "2")


def _write(path: Path, rows: list[dict[str, str]]) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    with gzip.open(path, "wt", encoding="utf-8") as file:
        file.writelines(json.dumps(row) + "\n" for row in rows)


def _pair(number: int) -> dict[str, str]:
    """In three of four pairs the better answer is the longer one; the last pair is a tie."""
    asked = f"\n\nHuman: Say {number}\n\nAssistant: "
    long, short = f"{asked}{number} it is, with pleasure", f"{asked}{number}"
    if number == 7:
        return {"chosen": long, "rejected": long}
    return {"chosen": short, "rejected": long} if number % 4 == 3 else {"chosen": long, "rejected": short}


@pytest.fixture
def data(tmp_path: Path) -> Path:
    """Files with the names, formats and flaws of the real ones."""
    folder = tmp_path / "the data"
    demonstrations = [{"instruction": f"Count to {i}", "input": "", "output": f"1 to {i}"} for i in range(40)]
    _write(folder / "alpaca/alpaca_sample.jsonl.gz", [*demonstrations, {"instruction": "?", "input": "", "output": ""}])
    _write(folder / "hh_rlhf/helpful_base.train.jsonl.gz", [_pair(i) for i in range(8)])
    _write(folder / "hh_rlhf/helpful_base.test.jsonl.gz", [_pair(i) for i in range(8)])
    return folder


def _run(program: str, arguments: list[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """A command of the example in this process: starting Python and torch anew takes seconds."""
    monkeypatch.setattr(sys, "argv", [program, *arguments])
    if program != "truing":
        runpy.run_path(program, run_name="__main__")
        return
    with pytest.raises(SystemExit) as stop:
        main()
    assert not stop.value.code, f"{arguments} ended with {stop.value.code}"


def test_real_data_goes_from_nothing_to_three_models_and_their_measures(
    data: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    out = tmp_path / "runs"
    listed = subprocess.run(
        ["bash", REAL_DATA / "run.sh", data, out],
        env={**os.environ, "DRY_RUN": "1", "TRUING": "truing", "PYTHON": "python"},
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    assert not out.exists(), "a dry run only prints"
    for program, *arguments in map(shlex.split, listed.splitlines()):
        if program == "truing":
            _run(program, arguments + (["--set", "steps=1"] if arguments[0] == "train" else []), monkeypatch)
        else:
            script, *rest = arguments
            _run(script, rest + (list(TOY) if script.endswith("prepare.py") else []), monkeypatch)
    assert len(read_record(out / "sft")) == len(read_record(out / "dpo")) == 1
    said = capsys.readouterr().out
    assert "300 tokens in the vocabulary" in said
    assert "| the longer one wins | 0.857 | 0.487 to 0.974 | 7 |" in said, "6 of 7 pairs, the tie left out"
    assert "| better is shorter |" in said


def test_real_data_says_how_it_is_used_when_nothing_is_given() -> None:
    done = subprocess.run(["bash", REAL_DATA / "run.sh"], capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "run.sh DATA OUT" in done.stdout
