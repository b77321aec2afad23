"""Rated steps with alternatives."""

from __future__ import annotations

from typing import Any

import pytest

from truing.errors import DataError
from truing.feedback import formats
from truing.feedback.formats.prm800k import FORMAT
from truing.group import Prompt, StepLabels


def step(*rated: tuple[str, int | None], chosen: int | None = None, human: str | None = None) -> dict[str, Any]:
    completions = [{"text": text, "rating": rating, "flagged": None} for text, rating in rated]
    written = None if human is None else {"text": human, "rating": None}
    return {"completions": completions, "chosen_completion": chosen, "human_completion": written}


def row(*steps: dict[str, Any], finish: str = "solution") -> dict[str, Any]:
    question = {"problem": "1 + 1?", "ground_truth_answer": "2"}
    return {"labeler": "ann", "question": question, "label": {"steps": list(steps), "finish_reason": finish}}


def test_the_way_gone_comes_first_and_each_alternative_is_marked_only_where_it_parts() -> None:
    made = row(step(("a", 1), chosen=0), step(("b", -1), ("c", 0), ("d", 1), chosen=2), step(("e", 1), chosen=0))
    group = FORMAT.read(made, "f:1")
    assert formats.recognised(made) is FORMAT
    assert group.prompt == Prompt.of("1 + 1?")
    assert [r.steps for r in group.responses] == [("a", "d", "e"), ("a", "b"), ("a", "c")]
    assert group.feedback == (StepLabels(((1, 1, 1), (None, -1), (None, 0)), "ann"),)
    assert group.columns == {"ground_truth_answer": "2", "finish_reason": "solution"}


def test_a_way_that_ends_in_an_error_ends_with_the_first_completion() -> None:
    group = FORMAT.read(row(step(("a", 1), chosen=0), step(("b", -1), ("c", 1)), finish="found_error"), "f:1")
    assert [r.steps for r in group.responses] == [("a", "b"), ("a", "c")]
    assert group.feedback == (StepLabels(((1, -1), (None, 1)), "ann"),)


def test_what_the_labeler_wrote_goes_on_without_a_mark() -> None:
    group = FORMAT.read(row(step(("a", -1), human="A"), step(("b", 1), chosen=0)), "f:1")
    assert [r.steps for r in group.responses] == [("A", "b"), ("a",)]
    assert group.feedback == (StepLabels(((None, 1), (-1,)), "ann"),)


def test_every_rating_is_kept_exactly_once() -> None:
    steps = [step(("a", 1), ("b", 0), chosen=0), step(("c", -1), ("d", -1), human="e"), step(("f", 1), ("g", None))]
    marks = FORMAT.read(row(*steps), "f:1").said(StepLabels)[0].values
    assert sorted(mark for each in marks for mark in each if mark is not None) == [-1, -1, 0, 1, 1]


@pytest.mark.parametrize(
    ("steps", "found"),
    [
        ([step(("a", 2), chosen=0)], "rated 2"),
        ([step(("a", True), chosen=0)], "rated True"),
        ([step(("a", 1), chosen=1)], "chose completion 1, and there are 1"),
        ([step(("a", 1)), step(("b", 1), chosen=0)], "step 1 of 2 chose no completion"),
        ([step(("", 1), chosen=0)], "step 1 has the completion"),
        ([step(("a", None), chosen=0)], "no completion is rated"),
        ([], "the steps \\[\\]"),
    ],
)
def test_what_is_no_prm800k_is_refused(steps: list[dict[str, Any]], found: str) -> None:
    with pytest.raises(DataError, match=found):
        FORMAT.read(row(*steps), "f:1")
