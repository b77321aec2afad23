from __future__ import annotations

import pytest

from truing.bind import bind
from truing.errors import RecipeError, RegistryError
from truing.recipe import Named
from truing.registry import Registry, objective


def test_settings_are_checked_against_the_signature() -> None:
    bound = bind(objective, Named(name="dpo", settings={"beta": 1}))
    assert bound.settings == {"beta": 1.0, "label_smoothing": 0.0}
    assert bound.reads[:2] == ("logprobs", "ref_logprobs")
    with pytest.raises(RecipeError, match=r"objective `dpo`, setting `betta`: unknown setting \(found 1\)"):
        bind(objective, Named(name="dpo", settings={"betta": 1}))
    with pytest.raises(RecipeError, match="Its settings: beta = 0.1"):
        bind(objective, Named(name="dpo", settings={"beta": "high"}))


def test_a_closed_choice_is_checked_too() -> None:
    with pytest.raises(RecipeError, match="setting `estimator`"):
        bind(objective, Named(name="kl", settings={"estimator": "k9"}))


def test_an_unknown_name_is_refused_with_the_nearest() -> None:
    with pytest.raises(RegistryError, match="there is no objective `dpoo`\n  Did you mean `dpo`"):
        bind(objective, Named(name="dpoo"))


def test_a_reward_takes_columns_without_default_and_settings_with_one() -> None:
    rewards = Registry("reward", "truing.errors")

    @rewards
    def near(prompts: list[str], completions: list[str], *, answer: list[str], slack: int = 2) -> list[float]:
        return [float(len(a) - len(c) <= slack) for a, c in zip(answer, completions, strict=True)]

    bound = bind(rewards, Named(name="near", settings={"slack": 1}))
    assert bound.settings == {"slack": 1}
    assert bound.function(["p"], ["c"], answer=["ccc"]) == [0.0]
    with pytest.raises(RecipeError, match="Its settings: slack = 2"):
        bind(rewards, Named(name="near", settings={"answer": []}))


def test_a_class_is_made_once_with_its_settings() -> None:
    rewards = Registry("reward", "truing.errors")

    @rewards
    class Constant:
        def __init__(self, *, value: float) -> None:
            self.value = value

        def __call__(self, prompts: list[str], completions: list[str], **columns: object) -> list[float]:
            return [self.value for _ in completions]

    assert bind(rewards, Named(name="Constant", settings={"value": 2})).function([""], [""]) == [2.0]
    with pytest.raises(RecipeError, match="value = required"):
        bind(rewards, Named(name="Constant"))


def test_a_setting_may_be_called_as_pydantics_own_methods_are() -> None:
    def named(
        prompts: object, completions: object, *, schema: int = 1, copy: int = 2, model_config: int = 3
    ) -> None: ...

    registered = Registry("reward", "truing.rewards")
    registered.register(named)
    bound = bind(registered, Named(name="named", settings={"copy": 5}))
    assert bound.settings == {"schema": 1, "copy": 5, "model_config": 3}
    with pytest.raises(RecipeError, match="setting `schema`"):
        bind(registered, Named(name="named", settings={"schema": "x"}))
