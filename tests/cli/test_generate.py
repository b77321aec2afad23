"""`truing generate`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

Truing = Callable[..., Any]


def test_samples_with_a_reward_model_come_best_first(
    truing: Truing, toy_folder: Path, pairs: Path, prompts: Path, tmp_path: Path
) -> None:
    judge = tmp_path / "judge"
    made = truing("train", "reward", "--model", toy_folder, "--data", pairs, "--out", judge, "--set", "batch_size=20")
    assert made.returncode == 0, made.stderr
    out = tmp_path / "samples.jsonl"
    run = truing(
        "generate", "--model", toy_folder, "--data", prompts, "--out", out, "--samples", "3", "--reward", judge,
        "--max-new-tokens", "8",
    )  # fmt: skip
    assert run.returncode == 0, run.stderr
    rows = [json.loads(line) for line in out.read_text().splitlines()]
    assert len(rows) == 40
    assert all(row["scores"] == sorted(row["scores"], reverse=True) and len(row["responses"]) == 3 for row in rows)
    assert rows[0]["answer"]
