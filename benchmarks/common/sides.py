"""Runs each side in a process of its own, in turn, so that neither has the better hour of a shared machine."""

from __future__ import annotations

import importlib.util
import json
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from common.machine import environment

__all__ = ["BENCHMARKS", "have_peer", "run"]

BENCHMARKS = Path(__file__).resolve().parent.parent
PEER = "1.16.0"


def have_peer() -> str | None:
    """None if TRL can be compared with, else what to do about it."""
    if importlib.util.find_spec("trl") is None:
        return f"TRL is not installed, so there is nothing to compare with. Install it: pip install trl=={PEER}"
    from importlib.metadata import version

    found = version("trl")
    return (
        None if found == PEER else f"TRL {found} is installed; the comparison is with {PEER}: pip install trl=={PEER}"
    )


def run(module: str, job: Mapping[str, Any], folder: Path, threads: int, cache: Path | None = None) -> dict[str, Any]:
    """Run `python -m module JOB` with the benchmarks on its path and hand back what it measured.

    `folder` is new and its own: the job, the log and whatever the side writes lie there. Exits, with the end of the
    log, if the side fails: half a comparison is none. What Truing keeps for later runs lies in `cache`, by default in
    `folder` too, so that no run has an easier time than its first.
    """
    folder.mkdir(parents=True)
    file, result, log = folder / "job.json", folder / "result.json", folder / "log.txt"
    file.write_text(json.dumps({**job, "threads": threads, "out": str(folder / "out"), "result": str(result)}))
    path = os.pathsep.join([str(BENCHMARKS), *filter(None, [os.environ.get("PYTHONPATH")])])
    variables = environment(threads) | {
        "PYTHONPATH": path,
        "HF_DATASETS_CACHE": str(folder / "cache"),
        "TRUING_CACHE": str(cache or folder / "truing-cache"),
    }
    with log.open("w", encoding="utf-8") as output:
        done = subprocess.run(
            [sys.executable, "-m", module, str(file)],
            env=variables,
            stdout=output,
            stderr=subprocess.STDOUT,
            check=False,
        )
    if done.returncode or not result.exists():
        end = "\n".join(log.read_text(encoding="utf-8", errors="replace").splitlines()[-25:])
        sys.exit(f"{module} failed (exit code {done.returncode}):\n{end}")
    measured: dict[str, Any] = json.loads(result.read_text(encoding="utf-8"))
    return measured
