"""The generation benchmark as `make bench` runs it, at a size that takes seconds. It is no measurement."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "benchmarks" / "generation.py"

pytestmark = pytest.mark.slow  # a process for each side, and each imports all there is


def test_all_sides_make_responses_of_the_same_lengths(tmp_path: Path) -> None:
    options = ["--size", "toy", "--batch", "8", "--group", "4", "--rounds", "1", "--new", "6", "--mean", "4"]
    command = [sys.executable, str(SCRIPT), *options, "--out", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr  # it exits if lengths differ
    assert (tmp_path / "generation-toy.md").read_text() in done.stdout
    (found,) = json.loads((tmp_path / "generation-toy.json").read_text())["batches"]["8"]
    assert [len(group) for group in found["responses"]] == [4, 4]
    for side in ("truing", "generate", "continuous"):
        assert 0 < found[side]["cpu_seconds"] < found[side]["cpu_process"]
        assert 0 < found[side]["share_of_products"] < found[side]["share_of_roofline"] < 1
