"""The one command, without running anything."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from pathlib import Path

import pytest
from run import NAMES

BENCHMARKS = Path(__file__).resolve().parents[2] / "benchmarks"
WITHOUT = pytest.mark.skipif(importlib.util.find_spec("trl") is not None, reason="TRL is installed")


def _run(script: str, *options: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, str(BENCHMARKS / script), *options], capture_output=True, text=True, check=False
    )


def test_every_name_is_a_script_and_every_script_is_in_the_readme() -> None:
    assert all((BENCHMARKS / f"{name}.py").is_file() for name in NAMES)
    said = (BENCHMARKS / "README.md").read_text(encoding="utf-8")
    assert [name for name in NAMES if f"`{name}.py`" not in said] == []


def test_an_unknown_name_is_refused() -> None:
    done = _run("run.py", "nonsense", "--size", "toy")
    assert done.returncode == 2
    assert "no benchmark is called 'nonsense'" in done.stderr


@WITHOUT
@pytest.mark.parametrize("script", ["run.py", "dpo.py", "sft.py", "reward.py"])
def test_without_trl_it_says_how_to_get_it(script: str, tmp_path: Path) -> None:
    done = _run(script, *([] if script == "run.py" else ["--out", str(tmp_path)]))
    assert done.returncode == 1
    assert "pip install trl==1.16.0" in done.stderr
    assert "Traceback" not in done.stderr
    assert not list(tmp_path.iterdir())
