"""Rewards on a batch of samples, and how they become one number."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import Any

import pytest

from truing.errors import DataError
from truing.group import Group, Prompt
from truing.recipe import CombinationSettings
from truing.rewards.score import Function, Scored, check_columns, score
from truing.rollouts.sampling import Sample


def given(name: str, values: Sequence[float | None], weight: float = 1.0) -> Function:
    return (name, weight, lambda prompts, completions, **columns: list(values))


def of(functions: Sequence[Function], sizes: Sequence[int] = (2, 2), **settings: Any) -> Scored:
    groups = [Group(Prompt.of("x")) for _ in sizes]
    samples = [[Sample([5], [-0.1], True) for _ in range(size)] for size in sizes]
    texts = [["a"] * size for size in sizes]
    return score(functions, groups, [[1]] * len(sizes), samples, texts, combination=CombinationSettings(**settings))


def test_by_default_rewards_are_added_by_weight() -> None:
    found = of([given("a", [1, 2, 3, 4]), given("b", [10, 0, None, 0], weight=0.5)])
    assert found.totals == [[6.0, 2.0], [3.0, 4.0]]
    assert found.metrics()["rewards/b/mean"] == pytest.approx(10 / 3)


def test_normalisation_is_over_the_batch_or_each_group() -> None:
    parts = [given("a", [1, 3, 10, 30])]
    assert of(parts, normalise="group").totals == [[-1, 1], [-1, 1]]
    whole = of(parts, normalise="batch").totals
    assert sum(v for row in whole for v in row) == pytest.approx(0, abs=1e-12)
    assert whole[1][1] > 1 > whole[1][0]


def test_lexicographic_totals_are_shares_of_the_group_that_is_beaten() -> None:
    found = of([given("right", [1, 1, 0, 1]), given("brief", [3, 4, 9, 1])], by="lexicographic")
    assert found.totals == [[0.0, 1.0], [0.0, 1.0]]


def test_a_threshold_is_in_the_rewards_own_units_whatever_is_normalised() -> None:
    parts = [given("useful", [1, 3, 1, 3]), given("safe", [100, 90, 100, 100])]
    settings = {"by": "constrained", "thresholds": {"safe": 95}, "penalty": 1.0, "normalise": "batch"}
    assert of(parts, **settings).totals == [[-1.0, 1.0 - 5.0], [-1.0, 1.0]]


def test_two_rewards_of_one_name_are_told_apart() -> None:
    found = of([given("model", [1, 1, 1, 1]), given("model", [0, 0, 0, 4])])
    assert found.totals == [[1, 1], [1, 5]]
    assert found.parts["model_2"] == [[0, 0], [0, 4]]


def handed(function: Any, rows: Sequence[dict[str, Any]]) -> Any:
    """What a reward was called with, beside prompts and completions, for one sample of each row."""
    seen: dict[str, Any] = {}

    def spy(prompts: Any, completions: Any, **columns: Any) -> Any:
        seen.update(columns)
        return [0.0] * len(completions)

    spied = function(spy)
    groups = [Group(Prompt.of("x"), columns=row) for row in rows]
    score(
        [("spy", 1.0, spied)], groups, [[1]] * len(rows), [[Sample([5], [-0.1], True)]] * len(rows), [["a"]] * len(rows)
    )
    return seen


def test_a_function_is_handed_the_columns_that_it_names() -> None:
    def only_answer(spy: Any) -> Any:
        return lambda prompts, completions, *, answer: spy(prompts, completions, answer=answer)

    assert handed(only_answer, [{"answer": "1", "other": 2}, {"answer": "3"}]) == {"answer": ["1", "3"]}
    every = handed(lambda spy: spy, [{"answer": "1"}])
    assert {"answer", "messages", "prompt_ids", "completion_ids", "finished"} <= every.keys()


def test_a_column_that_no_row_of_a_batch_has_is_none_throughout() -> None:
    def only_answer(spy: Any) -> Any:
        return lambda prompts, completions, *, answer: spy(prompts, completions, answer=answer)

    assert handed(only_answer, [{"other": 2}, {}]) == {"answer": [None, None]}


def test_a_column_does_not_take_the_place_of_a_setting() -> None:
    def with_setting(spy: Any) -> Any:
        def function(prompts: Any, completions: Any, *, most: int = 5, **columns: Any) -> Any:
            return spy(prompts, completions, most=most, **columns)

        return partial(function, most=7)

    found = handed(with_setting, [{"most": "a hostile row's", "answer": "1"}])
    assert found["most"] == 7
    assert found["answer"] == ["1"]


def test_a_column_that_no_row_of_the_data_has_is_refused() -> None:
    def needs(prompts: Any, completions: Any, *, answer: Any, finished: Any, most: int = 5) -> Any: ...

    class Needs:
        def __call__(self, prompts: Any, completions: Any, *, answer: Any, **columns: Any) -> Any: ...

    rows = [Group(Prompt.of("x"), columns={"solution": 1}), Group(Prompt.of("x"), columns={"level": 1})]
    for reader in (needs, Needs):
        with pytest.raises(
            DataError, match=r"(?s)reward `r`: it reads the column `answer`, .*columns: level, solution"
        ):
            check_columns("r", reader, rows)
        check_columns("r", reader, [*rows, Group(Prompt.of("x"), columns={"answer": None})])
