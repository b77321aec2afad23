from __future__ import annotations

from pathlib import Path

import pytest
import yaml

from truing import recipe
from truing.errors import RecipeError


@pytest.mark.parametrize("name", recipe.names())
def test_every_shipped_recipe_says_what_it_is_and_survives_being_written_and_read(name: str, tmp_path: Path) -> None:
    shipped = recipe.load(name)
    assert shipped.name == name
    assert shipped.summary
    assert "arXiv" in shipped.paper
    file = tmp_path / f"{name}.yaml"
    file.write_text(recipe.dump(shipped))
    assert recipe.load(file) == shipped


def test_an_override_may_be_a_path_a_last_part_or_a_setting_of_a_term() -> None:
    made = recipe.load("dpo", ["update.learning_rate=1e-4", "batch_size=8", "beta=0.3", "dpo.label_smoothing=0.1"])
    assert made.update.learning_rate == 1e-4
    assert made.update.batch_size == 8
    assert made.objectives[0].settings == {"beta": 0.3, "label_smoothing": 0.1}


def test_the_end_of_a_path_is_enough() -> None:
    lora = recipe.load("dpo", ["lora.r=8", "model.lora.alpha=4"]).model.lora
    assert lora is not None
    assert (lora.r, lora.alpha) == (8, 4.0)


def test_a_wrong_key_is_refused_with_the_nearest_one() -> None:
    with pytest.raises(RecipeError, match=r"unknown key `lerning_rate`\n  Did you mean `learning_rate`\?"):
        recipe.load("dpo", ["lerning_rate=1"])
    with pytest.raises(RecipeError, match=r"dpo.yaml: unknown key `update.epoch`\n  Did you mean `epochs`\?"):
        recipe.load("dpo", ["update.epoch=2"])


def test_a_key_in_the_wrong_section_is_pointed_to_the_right_one(tmp_path: Path) -> None:
    file = tmp_path / "mine.yaml"
    file.write_text("objectives: [sft]\ngroup_size: 4\n")
    with pytest.raises(RecipeError, match=r"mine.yaml: unknown key `group_size`\n  Did you mean `rollouts.group_size`"):
        recipe.load(file)


def test_a_wrong_type_names_key_and_value() -> None:
    with pytest.raises(RecipeError, match=r"update.epochs: .*integer.* \(found 'many'\)"):
        recipe.load("dpo", ["epochs=many"])


def test_a_group_of_one_has_no_baseline() -> None:
    with pytest.raises(RecipeError, match="every advantage would be 0. Use group_size >= 2"):
        recipe.load("grpo", ["group_size=1"])


def test_rewards_without_rollouts_are_refused() -> None:
    with pytest.raises(RecipeError, match="need `rollouts`"):
        recipe.load("dpo", ["rewards=[length]"])


def test_an_unknown_recipe_names_the_nearest_and_a_missing_file_says_so(tmp_path: Path) -> None:
    with pytest.raises(RecipeError, match="there is no recipe `grop`\n  Did you mean `grpo`"):
        recipe.load("grop")
    with pytest.raises(RecipeError, match="no such file"):
        recipe.load(tmp_path / "none.yaml")


@pytest.mark.parametrize("text", ["- a\n- b\n", "a: [1\n", ""])
def test_a_file_that_is_no_recipe_is_refused(tmp_path: Path, text: str) -> None:
    file = tmp_path / "odd.yaml"
    file.write_text(text)
    with pytest.raises(RecipeError, match="odd.yaml"):
        recipe.load(file)


def test_a_recipe_is_not_code(tmp_path: Path) -> None:
    file = tmp_path / "evil.yaml"
    file.write_text("objectives: !!python/object/apply:os.system ['true']\n")
    with pytest.raises(RecipeError, match="not YAML"):
        recipe.load(file)


def test_a_reward_called_model_is_not_the_model() -> None:
    named = {"rewards": [{"model": {"path": "judge"}}], "model.path": "policy"}
    made = recipe.load("grpo", named)
    assert made.model.path == "policy"
    assert made.rewards[0].settings == {"path": "judge"}
    changed = recipe.load("grpo", {**named, "rewards.model.path": "other", "objectives.ppo_clip.clip": 0.1})
    assert changed.rewards[0].settings == {"path": "other"}
    assert changed.objectives[0].settings["clip"] == 0.1
    assert changed.model.path == "policy"


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ({"by": "constrained"}, "need each other"),
        ({"thresholds": {"model": 1.0}}, "need each other"),
        ({"tolerance": 0.1}, "tolerance has no meaning with combination.by = weighted"),
        ({"by": "constrained", "thresholds": {"modle": 1.0}}, "names `modle`; the rewards are model, model_2"),
    ],
)
def test_a_combination_that_says_something_without_effect_is_refused(said: dict[str, object], words: str) -> None:
    rewards = [{"model": {"path": "a"}}, {"model": {"path": "b"}}]
    with pytest.raises(RecipeError, match=words):
        recipe.load("grpo", {"rewards": rewards, "combination": said})


def test_rewards_of_one_name_are_told_apart() -> None:
    assert recipe.labels_of(["model", "length", "model", "model"]) == ["model", "length", "model_2", "model_3"]
    rewards = [{"model": {"path": "a"}}, {"model": {"path": "b"}}]
    said = {"by": "constrained", "thresholds": {"model_2": 0.5}}
    made = recipe.load("grpo", {"rewards": rewards, "combination": said})
    assert made.combination.thresholds == {"model_2": 0.5}
    assert recipe.parse(yaml.safe_load(recipe.dump(made))) == made
