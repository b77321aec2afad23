"""Rewards on a batch of samples, and how they become one number."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest

from truing.group import Group, Prompt
from truing.recipe import CombinationSettings
from truing.rewards.score import Function, Scored, score
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
