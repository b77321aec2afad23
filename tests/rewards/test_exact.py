"""Word for word, apart from what does not count."""

from __future__ import annotations

from typing import Any

import pytest

from truing.errors import DataError
from truing.rewards.exact import exact, normalised_text


def of(text: str, answer: Any, **settings: Any) -> float | None:
    return exact([""], [text], answer=[answer], **settings)[0]


def test_case_punctuation_articles_and_spaces_do_not_count() -> None:
    assert normalised_text(" The  Eiffel\nTower! ") == "eiffel tower"
    assert of("The Eiffel Tower.", "eiffel tower") == 1
    assert of("The Eiffel Towers.", "eiffel tower") == 0


@pytest.mark.parametrize(
    ("setting", "text"), [("case", "PARIS"), ("punctuation", "Paris."), ("articles", "the Paris"), ("spaces", "Paris ")]
)
def test_each_counts_when_it_is_switched_on(setting: str, text: str) -> None:
    assert of(text, "Paris", part="all") == 1
    assert of(text, "Paris", part="all", **{setting: True}) == 0


def test_one_of_several_references_will_do_and_numbers_are_texts() -> None:
    assert of("NYC", ["New York", "NYC"]) == 1
    assert of("42", 42) == 1
    assert of("42", None) is None


def test_a_part_of_the_response_can_be_what_answers() -> None:
    text = "<think>Lyon?</think>Well.\nParis"
    assert of(text, "Paris") == 0
    assert of(text, "Well. Paris") == 1
    assert of(text, "Paris", part="last_line") == 1
    assert of(text, "Paris", part="all") == 0


def test_an_accent_can_be_written_in_two_ways() -> None:
    assert of("Caf\u00e9", "cafe\u0301") == 1
    assert of("Cafe", "Caf\u00e9") == 0


@pytest.mark.parametrize("cell", [True, [], {"a": 1}, [None]])
def test_a_reference_that_is_none_is_refused(cell: Any) -> None:
    with pytest.raises(DataError, match="reward `exact`, column `answer`"):
        of("a", cell)
