"""`truing lab ...`."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

Truing = Callable[..., Any]


def test_the_embedded_world_writes_its_files(truing: Truing, tmp_path: Path) -> None:
    out = tmp_path / "demonstrations.jsonl"
    assert truing("lab", "demonstrations", "--out", out, "--num", "20").returncode == 0
    assert "20 groups, 0 problems" in truing("feedback", "check", out).stdout
    truing("lab", "prompts", "--out", tmp_path / "p.jsonl", "--split", "nope").refused("nope")
    assert Path(truing("lab", "model").stdout.strip(), "model.safetensors").is_file()
