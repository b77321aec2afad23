"""The place of the first wrong step: BIG-Bench-Mistake counts from 0, MR-GSM8K from 1."""

from __future__ import annotations

from typing import Any

import pytest

from truing.errors import DataError
from truing.feedback import formats
from truing.feedback.formats import bigbench_mistake, mr_gsm8k
from truing.group import Critique, Prompt, StepLabels

ZERO = {"input": "Sort.", "steps": ["a", "b", "c"], "mistake_index": 1, "task": "sorting"}
ONE = {
    "question": "How many?",
    "model_output_steps": ["a", "b", "c"],
    "model_output_solution_first_error_step": 1,
    "model_output_solution_first_error_reason": "wrong sum",
    "model_output_solution_correctness": "wrong",
    "model_output_answer_correctness": "correct",
}


def test_an_index_of_1_is_the_second_step_where_steps_count_from_0() -> None:
    group = bigbench_mistake.FORMAT.read(ZERO, "f:1")
    assert formats.recognised(ZERO) is bigbench_mistake.FORMAT
    assert group.prompt == Prompt.of("Sort.")
    assert group.responses[0].text == "a\nb\nc"
    assert group.feedback == (StepLabels(((1, -1, None),)),)
    assert group.columns == {"task": "sorting"}


def test_a_step_of_1_is_the_first_step_where_steps_count_from_1() -> None:
    group = mr_gsm8k.FORMAT.read(ONE, "f:1")
    assert formats.recognised(ONE) is mr_gsm8k.FORMAT
    assert group.feedback == (StepLabels(((-1, None, None),)), Critique(("wrong sum",)))
    assert group.columns == {"model_output_answer_correctness": "correct"}


def test_no_mistake_means_that_every_step_is_right() -> None:
    assert bigbench_mistake.FORMAT.read({**ZERO, "mistake_index": None}, "f:1").feedback == (StepLabels(((1, 1, 1),)),)
    row = {**ONE, "model_output_solution_correctness": "correct", "model_output_solution_first_error_reason": ""}
    assert mr_gsm8k.FORMAT.read(row, "f:1").feedback == (StepLabels(((1, 1, 1),)),)


def test_a_missing_column_is_not_taken_for_no_mistake() -> None:
    row = {name: value for name, value in ZERO.items() if name != "mistake_index"}
    assert formats.recognised(row) is not bigbench_mistake.FORMAT
    with pytest.raises(DataError, match="no column `mistake_index`"):
        bigbench_mistake.FORMAT.read(row, "f:1")
    with pytest.raises(DataError, match="correctness` is 'wrong' and"):
        mr_gsm8k.FORMAT.read({**ONE, "model_output_solution_first_error_step": None}, "f:1")


@pytest.mark.parametrize("place", [3, -1, True, 1.5, "1"])
def test_a_place_that_is_no_step_is_refused(place: Any) -> None:
    with pytest.raises(DataError, match="column `mistake_index` holds"):
        bigbench_mistake.FORMAT.read({**ZERO, "mistake_index": place}, "f:1")


@pytest.mark.parametrize("place", [0, 4])
def test_a_place_counted_from_0_is_refused_where_steps_count_from_1(place: int) -> None:
    with pytest.raises(DataError, match="first_error_step` holds"):
        mr_gsm8k.FORMAT.read({**ONE, "model_output_solution_first_error_step": place}, "f:1")
