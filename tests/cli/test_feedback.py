"""`truing feedback ...`."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

Truing = Callable[..., Any]


def test_feedback_is_checked_counted_and_converted(truing: Truing, pairs: Path, tmp_path: Path) -> None:
    assert "40 groups, 0 problems" in truing("feedback", "check", pairs).stdout
    assert "ranking: 40" in truing("feedback", "stats", pairs).stdout
    out = tmp_path / "out.parquet"
    assert truing("feedback", "convert", pairs, "--to", "ranking", "--out", out).returncode == 0
    assert "40 groups" in truing("feedback", "check", out).stdout
    bad = tmp_path / "bad.jsonl"
    bad.write_text(pairs.read_text() + "not json\n")
    run = truing("feedback", "check", bad)
    assert run.returncode == 2
    assert "bad.jsonl:41" in run.stdout


def test_annotators_are_merged_and_scores_get_strength_from_the_command_line(truing: Truing, tmp_path: Path) -> None:
    votes, out = tmp_path / "votes.jsonl", tmp_path / "out.jsonl"
    rows = [
        {"prompt": str(n), "responses": ["a", "b"], "ranking": [0, 1] if (who == "liar") == n % 2 else [1, 0]}
        | {"annotator_id": who}
        for n in range(20)
        for who in ("x", "y", "z", "liar")
    ]
    votes.write_text("".join(json.dumps(row) + "\n" for row in rows))
    run = truing("feedback", "convert", votes, "--to", "pairs", "--merge", "dawid_skene", "--out", out)
    assert run.returncode == 0, run.stderr
    assert "merged by dawid_skene: 20 groups" in run.stdout
    assert "the least reliable: liar 0.0" in run.stdout
    votes.write_text('{"prompt": "p", "responses": ["a", "b"], "scores": [1, 3]}\n')
    options = ("--to", "pairs", "--strength-scale", "2", "--out", out)
    assert truing("feedback", "convert", votes, *options).returncode == 0
    assert round(json.loads(out.read_text())["strength"], 6) == 0.731059  # sigmoid(1)
    run = truing("feedback", "convert", votes, "--to", "pairs", "--strength-scale", "0", "--out", out)
    assert run.returncode == 2
