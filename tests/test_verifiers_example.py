"""examples/real_data/verifiers.py counts what it says."""

from __future__ import annotations

import json
import runpy
from pathlib import Path
from typing import Any

from truing.rewards.math import Math

EXAMPLE = runpy.run_path(str(Path(__file__).parent.parent / "examples" / "real_data" / "verifiers.py"))


def _write(path: Path, rows: list[dict[str, Any]]) -> Path:
    path.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return path


def test_it_counts_agreement_solved_and_mismatched(tmp_path: Path) -> None:
    judge = Math(symbolic=False)
    solutions = [
        {"ground_truth": "one\nA: 1", "m1": {"solution": "A: 1", "is_correct": True}},
        {"ground_truth": "two\nA: 2", "m1": {"solution": "A: 2", "is_correct": False}},
        {"ground_truth": "two\nA: 2", "m1": {"solution": "A: 3", "is_correct": False}},
    ]
    assert EXAMPLE["agreement"](_write(tmp_path / "s.jsonl", solutions), judge) == (2, 1, 3)
    problems = [{"solution": rf"\boxed{{{n}}}", "answer": a} for n, a in ((1, "1"), (2, "2"), (2, "3"), (4, "4.0"))]
    file = _write(tmp_path / "p.jsonl", problems)
    assert EXAMPLE["solved"](file, judge) == (3, 4)
    # Four rows, each against the three others; the third row's solution is the second's answer.
    assert EXAMPLE["mismatched"](file, judge) == (1, 12)
