"""The commands as `make bench` runs them, at a size that takes seconds. They are no measurement."""

from __future__ import annotations

import importlib.util
import json
import subprocess
import sys
from math import factorial, log
from pathlib import Path
from typing import Any

import pytest

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
TOY = ("--size", "toy", "--rounds", "1", "--steps", "3", "--batch", "4")

pytestmark = pytest.mark.slow  # several processes each, and each imports all there is


def _run(out: Path, script: str, *options: str) -> dict[str, dict[str, Any]]:
    """The reports by their file's name."""
    command = [sys.executable, str(BENCHMARKS / script), *options, "--out", str(out)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    for table in out.glob("*.md"):
        assert table.read_text() in done.stdout
    return {file.stem: json.loads(file.read_text()) for file in out.glob("*.json")}


def _sound(run: dict[str, Any], steps: int = 3) -> None:
    assert len(run["loss"]) == len(run["cpu_steps"]) == steps
    assert 0 < run["share_of_limit"] < 1
    assert 0 < run["cpu_step"] < run["cpu_process"]
    parts = [run["cpu_imports"], run["cpu_loading"], *run["cpu_steps"], run["cpu_saving"]]
    assert min(parts) > 0
    assert sum(parts) == pytest.approx(run["cpu_process"])
    assert run["gemm_rate"] == max(run["gemm_rates"].values())


def test_dpo(tmp_path: Path) -> None:
    made = _run(tmp_path, "dpo.py", *TOY, "--sides", "truing", "truing-again")["dpo-toy"]
    for side in ("truing", "truing-again"):
        (run,) = made["sides"][side]
        _sound(run)
        assert run["loss"][0] == pytest.approx(log(2), abs=1e-5)  # the policy begins as the reference
    assert made["agreement"]["truing-again"]["loss/all"] == 0  # what the reference said is the same when remembered


def test_sft(tmp_path: Path) -> None:
    made = _run(tmp_path, "sft.py", *TOY, "--sides", "truing")
    assert set(made) == {"sft-toy", "sft-turns-toy"}
    for report in made.values():
        (run,) = report["sides"]["truing"]
        _sound(run)
        assert run["loss"][0] == pytest.approx(log(256), rel=0.05)  # random weights know nothing of 256 words


def test_reward(tmp_path: Path) -> None:
    (run,) = _run(tmp_path, "reward.py", *TOY, "--sides", "truing")["reward-toy"]["sides"]["truing"]
    _sound(run)


def test_kwise(tmp_path: Path) -> None:
    sides = ("truing", "truing-copied", "truing-padded")
    made = _run(tmp_path, "kwise.py", *TOY, "--only", "kwise-4", "--sides", *sides)["kwise-4-toy"]
    once, copied, padded = (made["sides"][side][0] for side in sides)
    assert once["loss"][0] == pytest.approx(log(factorial(4)))
    assert sum(once["tokens"]) < sum(copied["tokens"]) == sum(padded["tokens"])
    assert made["data"]["copied/tokens"] == pytest.approx(sum(copied["tokens"]) / sum(once["tokens"]))
    assert made["data"]["copied/products"] > 1
    for off in made["agreement"].values():
        assert max(off.values()) < 1e-4


def test_scaling(tmp_path: Path) -> None:
    options = ("--size", "toy", "--steps", "2", "--points", "2", "--only", "LoRA rank")
    made = _run(tmp_path, "scaling.py", *options)["scaling-toy"]
    assert [row["x"] for row in made["axes"]["LoRA rank"]] == [4, 16]
    assert "<svg" in (tmp_path / "scaling-toy.svg").read_text()


@pytest.mark.skipif(
    importlib.util.find_spec("trl") is None, reason="TRL is not installed: pip install -e '.[bench]' to compare with it"
)
@pytest.mark.parametrize(
    ("script", "sides"),
    [
        ("dpo.py", ["trl", "trl-cached", "trl-defaults"]),
        ("sft.py", ["trl", "trl-padding-free", "trl-packed", "trl-defaults"]),
        ("reward.py", ["trl", "trl-defaults"]),
    ],
)
def test_the_peer_does_the_same_work(script: str, sides: list[str], tmp_path: Path) -> None:
    for made in _run(tmp_path, script, *TOY, "--batch", "8", "--sides", "truing", *sides).values():
        for side in set(sides) - {"trl-packed", "trl-defaults"}:
            assert made["agreement"][side]["loss/all"] < 1e-4
            assert made["agreement"][side]["grad_norm/all"] < 1e-3


def test_where_a_step_goes(tmp_path: Path) -> None:
    made = _run(tmp_path, "where.py", "--size", "toy", "--methods", "sft", "grpo", "--steps", "2")["where-toy"]
    parts = {method: found["parts"] for method, found in made["methods"].items()}
    assert all(parts["sft"][name] > 0 for name in parts["sft"] if name != "sampling")
    assert parts["sft"]["sampling"] == 0 < parts["grpo"]["sampling"]
    assert "| attention |" in (tmp_path / "where-toy.md").read_text()
