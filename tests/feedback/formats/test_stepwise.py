"""Marks on reasoning steps."""

from __future__ import annotations

from typing import Any

import pytest

from truing.errors import DataError
from truing.feedback.formats import FORMATS, sniff
from truing.group import Group, Response, StepLabels

ASKED = [{"role": "user", "content": "Which?"}]


def read(row: dict[str, Any]) -> Group:
    return sniff(row, "f:1").read(row, "f:1")


def refusal(row: dict[str, Any]) -> str:
    with pytest.raises(DataError) as caught:
        read(row)
    assert caught.value.where == "f:1"
    assert caught.value.remedy is not None
    return str(caught.value)


def test_steps_are_marked_right_wrong_neutral_or_not_at_all() -> None:
    row = {"prompt": "Which?", "completions": ["a", "b", "c", "d"], "labels": [True, False, "neutral", None]}
    group = read(row)
    assert group.responses == (Response.of_steps(["a", "b", "c", "d"]),)
    assert group.feedback == (StepLabels(((1, -1, 0, None),)),)
    assert FORMATS["stepwise"].write(group) == {**row, "prompt": ASKED}
    assert read({**row, "labels": [1, -1, "neutral", None]}) == group


def test_a_plain_zero_could_mean_wrong_or_neutral_and_is_refused() -> None:
    message = refusal({"prompt": "p", "completions": ["a", "b"], "labels": [1, 0]})
    assert "label 2 of `labels` is 0" in message
    assert "0 could mean wrong or neutral" in message


@pytest.mark.parametrize(
    ("completions", "labels"), [(["a"], [True, False]), (["a", ""], [True, True]), ([], []), (["a", 3], [True, True])]
)
def test_steps_and_labels_must_go_together(completions: list[Any], labels: list[Any]) -> None:
    refusal({"prompt": "p", "completions": completions, "labels": labels})


def test_a_step_may_have_the_probability_that_it_is_right() -> None:
    row = {"prompt": "Which?", "completions": list("abcdef"), "probabilities": [1.0, 0, 0.5, 0.875, 0.1, None]}
    group = read(row)
    assert group.feedback == (StepLabels(((1.0, -1.0, 0.0, 0.75, -0.8, None),)),)
    assert FORMATS["stepwise"].write(group) == {**row, "prompt": ASKED}


@pytest.mark.parametrize("value", [1 / 3, 2 / 3, 0.1, 1e-9, 0.123456789012345, 7 / 11, 0.999999999999])
def test_no_probability_is_lost_on_the_way(value: float) -> None:
    row = {"prompt": "p", "completions": ["a"], "probabilities": [value]}
    (written,) = FORMATS["stepwise"].write(read(row))["probabilities"]
    assert written == pytest.approx(value, rel=0, abs=1e-16)
    assert read({**row, "probabilities": [written]}) == read(row)


def test_verdicts_of_a_soft_file_are_written_as_verdicts() -> None:
    group = read({"prompt": "p", "completions": ["a", "b"], "probabilities": [1, 0.0]})
    assert FORMATS["stepwise"].write(group) == {
        "prompt": [{"role": "user", "content": "p"}],
        "completions": ["a", "b"],
        "labels": [True, False],
    }


def test_a_table_with_both_columns_is_read_by_the_one_that_is_filled() -> None:
    row = {"prompt": "p", "completions": ["a"], "labels": None, "probabilities": [0.25]}
    assert read(row).feedback == (StepLabels(((-0.5,),)),)
    assert read({**row, "labels": [True], "probabilities": None}).feedback == (StepLabels(((1,),)),)
    assert "`labels` and `probabilities`" in refusal({**row, "labels": [True]})


@pytest.mark.parametrize("value", [1.5, -0.25, True, "0.5", "neutral", float("nan"), [0.5]])
def test_what_is_no_probability_is_refused(value: Any) -> None:
    message = refusal({"prompt": "p", "completions": ["a", "b"], "probabilities": [0.5, value]})
    assert "number 2 of `probabilities` is" in message
    assert "from 0 to 1" in message


def test_a_probability_among_labels_names_the_other_column() -> None:
    message = refusal({"prompt": "p", "completions": ["a", "b"], "labels": [True, 0.75]})
    assert "label 2 of `labels` is 0.75" in message
    assert "name the column `probabilities`" in message
