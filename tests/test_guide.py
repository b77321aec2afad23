"""What the guide shows, works as it stands there."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from truing import recipe
from truing.record import read_record
from truing.registry import use_file
from truing.train import train

GUIDE = (Path(__file__).parent.parent / "docs" / "guide.md").read_text(encoding="utf-8")
BLOCKS = re.findall(r"```python\n(.*?)```", GUIDE, re.DOTALL)


@pytest.fixture
def code(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    (block,) = [b for b in BLOCKS if f"def {request.param}(" in b]
    file = tmp_path / f"{request.param}.py"
    file.write_text(block)
    use_file(file)


@pytest.mark.parametrize("code", ["short_and_right"], indirect=True)
@pytest.mark.usefixtures("code")
def test_the_reward_of_the_guide_trains(toy_folder: Path, prompts: Path, tmp_path: Path) -> None:
    overrides = {
        "model.path": str(toy_folder), "data.train": str(prompts), "rewards": ["short_and_right"], "steps": 2,
        "max_new_tokens": 8, "prompts_per_step": 4,
    }  # fmt: skip
    train(recipe.load("grpo", overrides), tmp_path / "run")
    assert all(-1 <= line["rewards/short_and_right/mean"] <= 1 for line in read_record(tmp_path / "run"))


@pytest.mark.parametrize("code", ["squared_hinge"], indirect=True)
@pytest.mark.usefixtures("code")
def test_the_objective_of_the_guide_trains(toy_folder: Path, pairs: Path, tmp_path: Path) -> None:
    file = tmp_path / "my.yaml"
    file.write_text("objectives: [squared_hinge]\nupdate: {learning_rate: 0.001, batch_size: 8}\n")
    chosen = recipe.load(file, {"model.path": str(toy_folder), "data.train": str(pairs)})
    train(chosen, tmp_path / "run")
    record = read_record(tmp_path / "run")
    assert record[0]["loss"] == pytest.approx(1.0), "policy = reference: every margin is 0"
    assert record[-1]["loss"] < 0.99


def test_every_recipe_of_the_guide_exists() -> None:
    named = re.findall(r"truing train (\w+) ", GUIDE)
    assert set(named) <= set(recipe.names())
    assert len(named) >= 5
