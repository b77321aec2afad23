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
