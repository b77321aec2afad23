"""What responses vote with."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import pytest

from truing import registry
from truing.bind import bind
from truing.recipe import Named
from truing.rewards.vote import Vote, voter


def of(name: str, **settings: Any) -> Vote:
    vote = voter(bind(registry.reward, Named(name=name, settings=settings)).function)
    assert vote is not None
    return vote


def test_numbers_vote_by_value_however_they_are_written() -> None:
    vote = of("math", symbolic=False)
    assert vote("<think> 3 + 4 = 8 </think> <answer> The answer is 7. </answer>") == 7
    assert vote("so \\boxed{7.0}") == vote("#### 14/2") == Fraction(7)
    assert vote("50 %") != vote("the answer is 50")
    assert vote("no idea") is None


def test_formulas_vote_by_their_letters() -> None:
    vote = of("math", symbolic=False)
    assert vote("\\boxed{x + 1}") == vote("The answer is $x+1$.") == "x+1"


def test_only_the_form_that_is_rewarded_has_a_vote() -> None:
    assert of("math", symbolic=False, form="boxed")("The answer is 7.") is None


def test_texts_vote_as_they_are_compared() -> None:
    assert of("exact")("<think>hm</think> The Eiffel Tower!") == "eiffel tower"
    assert of("exact", case=True)("The Tower") == "Tower"
    assert of("exact")("...") is None


@pytest.mark.parametrize("name", ["format", "repetition"])
def test_who_does_not_say_right_or_wrong_reads_no_answer(name: str) -> None:
    assert voter(bind(registry.reward, Named(name=name)).function) is None


def test_a_class_of_ones_own_votes_by_its_method() -> None:
    class Own:
        def __call__(self, prompts: Any, completions: Any, **columns: Any) -> list[float]:
            return [1.0] * len(completions)

        def vote(self, text: str) -> str:
            return text[-1:]

    vote = voter(Own())
    assert vote is not None
    assert vote("it is b") == "b"
