"""What is read out of the text of options."""

from __future__ import annotations

from pathlib import Path

from truing.cli.options import as_in_recipes, named_rewards, names
from truing.recipe import Named


def test_names_stand_between_commas() -> None:
    assert names("ann, ben ,") == ["ann", "ben"]
    assert names("") == names(None) == []


def test_a_folder_is_a_reward_model_and_anything_else_a_name(tmp_path: Path) -> None:
    folder = str(tmp_path)
    assert as_in_recipes("math") == "math"
    assert as_in_recipes(folder) == {"model": {"path": folder}}
    assert named_rewards(["math", folder]) == [Named(name="math"), Named(name="model", settings={"path": folder})]
    assert named_rewards(None) == []
