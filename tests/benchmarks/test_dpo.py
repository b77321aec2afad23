"""The command as `make bench` runs it, at a size that takes seconds. It is no measurement."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from math import log
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "dpo.py"


def _run(out: Path, *options: str) -> subprocess.CompletedProcess[str]:
    command = [sys.executable, str(SCRIPT), "--size", "toy", "--rounds", "1", "--steps", "2", "--out", str(out)]
    return subprocess.run([*command, *options], capture_output=True, text=True, check=False)


def test_truings_side_trains_on_the_tokens_that_were_written_and_reports_them(tmp_path: Path) -> None:
    done = _run(tmp_path, "--sides", "truing", "--batch", "4")
    assert done.returncode == 0, done.stderr
    made = json.loads((tmp_path / "dpo-toy.json").read_text())
    (run,) = made["sides"]["truing"]
    assert run["loss"][0] == pytest.approx(log(2), abs=1e-5)  # the policy begins as the reference
    assert len(run["loss"]) == len(run["cpu_steps"]) == 2
    assert 0 < run["share_of_limit"] < 1
    assert 0 < run["cpu_step"] < run["cpu_process"]
    table = (tmp_path / "dpo-toy.md").read_text()
    assert "| Truing |" in table
    assert table in done.stdout


@pytest.mark.skipif(importlib.util.find_spec("trl") is not None, reason="TRL is installed")
def test_without_trl_it_says_how_to_get_it(tmp_path: Path) -> None:
    done = _run(tmp_path)
    assert done.returncode == 1
    assert "pip install trl==1.16.0" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())
