"""The commands of online methods as `make bench` runs them, at a size that takes seconds. They are no measurement."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
TOY = ("--size", "toy", "--rounds", "1", "--steps", "2", "--prompts", "2", "--new", "8", "--mean", "4")

pytestmark = pytest.mark.slow  # several processes each, and each imports all there is


def _run(out: Path, script: str, *options: str) -> dict[str, Any]:
    """The report."""
    command = [sys.executable, str(BENCHMARKS / script), *options, "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    (report,), (table,) = out.glob("*.json"), out.glob("*.md")
    assert table.read_text() in done.stdout
    found: dict[str, Any] = json.loads(report.read_text())
    return found


def _sound(run: dict[str, Any]) -> None:
    assert 0 < run["cpu_step"] < run["cpu_process"]
    assert 0 < run["cpu_generation"] < run["cpu_step"]
    assert 0 < run["cpu_update"] < run["cpu_step"]


@pytest.mark.parametrize("beta", ["0", "0.04"])
def test_grpo(beta: str, tmp_path: Path) -> None:
    (run,) = _run(tmp_path, "grpo.py", *TOY, "--sides", "truing", "--beta", beta)["sides"]["truing"]
    _sound(run)
    assert 0 < run["generation_share"] < 1
    assert 0 < run["training_share"] < 1
    # The policy is the one that sampled: the mean advantage is 0, and it is the reference still.
    assert all(abs(step["loss"]) < 1e-5 and step["grad_norm"] > 0 for step in run["steps"])
    assert ("kl" in run["steps"][0]) is (beta != "0")


@pytest.mark.skipif(
    importlib.util.find_spec("trl") is None, reason="TRL is not installed: pip install -e '.[bench]' to compare with it"
)
def test_grpo_of_the_peer(tmp_path: Path) -> None:
    made = _run(tmp_path, "grpo.py", *TOY, "--sides", "truing", "trl", "trl-accumulated")
    assert made["lengths apart, standard errors"]["trl"] < 5
    for (run,) in made["sides"].values():
        _sound(run)


def test_ppo_beside_grpo_draws_the_same_samples(tmp_path: Path) -> None:
    made = _run(tmp_path, "ppo.py", *TOY, "--against", "grpo")
    assert set(made["methods"]) == {"ppo", "grpo", "ppo-own", "ppo-4", "grpo-4"}
    for (run,) in made["methods"].values():
        _sound(run)


def test_dpo_trains_on_pairs_as_long_as_ppos_samples(tmp_path: Path) -> None:
    made = _run(tmp_path, "ppo.py", *TOY, "--against", "dpo")
    (dpo,) = made["methods"]["dpo"]
    assert 0 < dpo["cpu_step"] < dpo["cpu_process"]
    assert made["data"]["responses K"] == 2
