"""Patterns of the user's on texts of the model's."""

from __future__ import annotations

import time

import pytest

from truing import registry
from truing.bind import bind
from truing.errors import RecipeError
from truing.recipe import Named
from truing.rewards.regex import Regex


def test_a_pattern_is_found_or_not() -> None:
    assert Regex(pattern=r"\bDear (Mr|Ms)\b")(["", ""], ["Dear Ms X", "Dear Mrs X"]) == [1, 0]
    assert Regex(pattern=r"\d+", whole=True)(["", ""], ["12", "12 "]) == [1, 0]
    assert Regex(pattern="(?i)sorry", forbid=True)(["", ""], ["Sorry!", "No."]) == [0, 1]
    assert Regex(pattern=r"\d+", whole=True, part="answer")([""], ["<think>a</think> 12"]) == [1]


def test_a_search_without_end_earns_nothing_and_the_next_is_done() -> None:
    start = time.monotonic()
    endless = "a" * 60 + "b"
    assert Regex(pattern="(a+)+$", seconds=1)(["", ""], [endless, "aa"]) == [0, 1]
    assert Regex(pattern="(a+)+$", seconds=1, forbid=True)([""], [endless]) == [0]
    assert time.monotonic() - start < 60


def test_a_hundred_thousand_characters_are_searched() -> None:
    assert Regex(pattern="b$")(["", ""], ["a" * 100_000 + "b", "é\n\u2028\x00" * 25_000]) == [1, 0]


@pytest.mark.parametrize(
    ("settings", "message"), [({"pattern": "("}, "no regular expression"), ({}, "setting `pattern`: Field required")]
)
def test_a_pattern_that_is_none_is_refused_before_anything_runs(settings: dict[str, str], message: str) -> None:
    with pytest.raises(RecipeError, match=message):
        bind(registry.reward, Named(name="regex", settings=settings))
