"""Rewards that are rules, and a user's own, in runs from file to record."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import pytest

from truing import recipe
from truing.errors import DataError
from truing.record import read_record
from truing.registry import use_file
from truing.train import train

PAGE = (Path(__file__).parent.parent / "docs" / "rewards.md").read_text(encoding="utf-8")
SMALL = {"update.steps": 2, "max_new_tokens": 8, "prompts_per_step": 4, "group_size": 2}


@pytest.fixture
def mixed(tmp_path: Path) -> Path:
    """Problems, instructions and bare prompts in one file."""
    rows: list[dict[str, Any]] = []
    for i in range(8):
        rows += [
            {"prompt": f"the cat {i}", "answer": str(i)},
            {"prompt": f"the dog {i}", "instruction_id_list": ["punctuation:no_comma"], "kwargs": [{}]},
            {"prompt": f"the bird {i}"},
        ]
    file = tmp_path / "mixed.jsonl"
    file.write_text("".join(json.dumps(row) + "\n" for row in rows))
    return file


def run(folder: Path, model: Path, data: Path, rewards: list[Any]) -> list[dict[str, Any]]:
    train(recipe.load("grpo", {"model.path": str(model), "data.train": str(data), "rewards": rewards, **SMALL}), folder)
    return read_record(folder)


def test_every_rule_takes_part_in_a_run(toy_folder: Path, mixed: Path, tmp_path: Path) -> None:
    rules: list[Any] = [
        "math", "exact", {"regex": {"pattern": "cat"}}, {"json_schema": {"schema": {"type": "object"}}}, "format",
        "instruction_following", {"language": {"language": "en"}}, {"length": {"most": 4, "slack": 8}},
        {"overlong": {"max_length": 8, "buffer": 4}}, "repetition",
    ]  # fmt: skip
    names = [next(iter(rule)) if isinstance(rule, dict) else rule for rule in rules]
    record = run(tmp_path / "run", toy_folder, mixed, rules)
    assert len(record) == 2
    for line in record:
        assert {f"rewards/{name}/mean" for name in names} <= line.keys()
        assert -1 <= line["rewards/overlong/mean"] <= 0
        assert 0 <= line["rewards/length/mean"] <= 1


def test_a_column_that_is_called_otherwise_is_refused(toy_folder: Path, tmp_path: Path) -> None:
    file = tmp_path / "data.jsonl"
    file.write_text('{"prompt": "the cat", "target": "3"}\n')
    with pytest.raises(DataError, match=r"(?s)reward `math`: it reads the column `answer`, which no row has.*target"):
        run(tmp_path / "run", toy_folder, file, ["math"])


def test_the_functions_of_the_page_train_sync_and_async(toy_folder: Path, mixed: Path, tmp_path: Path) -> None:
    (block,) = re.findall(r"```python\n(# mine\.py.*?)```", PAGE, re.DOTALL)
    file = tmp_path / "mine.py"
    file.write_text(block)
    use_file(file)
    record = run(tmp_path / "run", toy_folder, mixed, [{"digits": {"most": 0}}, "asked_elsewhere"])
    assert len(record) == 2
    assert all(0 <= line["rewards/digits/mean"] <= 1 for line in record)
    assert all("rewards/asked_elsewhere/mean" in line for line in record)
