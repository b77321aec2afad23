"""Scores of K."""

from __future__ import annotations

from typing import Any

import pytest

from truing.errors import DataError
from truing.feedback.formats import FORMATS, sniff
from truing.group import Group, Scores

ABC = {"prompt": "Which?", "responses": ["a", "b", "c"]}


def read(row: dict[str, Any]) -> Group:
    return sniff(row, "f:1").read(row, "f:1")


def refusal(row: dict[str, Any]) -> str:
    with pytest.raises(DataError) as caught:
        read(row)
    assert caught.value.where == "f:1"
    assert caught.value.remedy is not None
    return str(caught.value)


def test_scores_may_be_one_list_or_one_an_aspect() -> None:
    assert read({**ABC, "scores": [1, None, 2.5]}).feedback == (Scores({"overall": (1.0, None, 2.5)}),)
    row = {**ABC, "scores": {"kind": [1, 2, 3], "brief": [3, 2, 1], "none": None}, "scale": [1, 5], "annotator_id": "x"}
    said = Scores({"kind": (1.0, 2.0, 3.0), "brief": (3.0, 2.0, 1.0)}, scale=(1.0, 5.0), annotator_id="x")
    group = read(row)
    assert group.feedback == (said,)
    assert FORMATS["scores"].write(group)["scores"] == {"kind": [1.0, 2.0, 3.0], "brief": [3.0, 2.0, 1.0]}


@pytest.mark.parametrize(
    ("more", "message"),
    [
        ({"scores": [1, 2]}, "there are 3 responses"),
        ({"scores": [1, 2, True]}, "finite number"),
        ({"scores": [1, 2, float("nan")]}, "finite number"),
        ({"scores": {}}, "at least one aspect"),
        ({"scores": [1, 2, 9], "scale": [1, 5]}, "outside its scale"),
        ({"scores": [1, 2, 3], "scale": [5, 1]}, "[lowest, highest]"),
        ({"scores": 3}, "one number (or null) a response"),
    ],
)
def test_scores_that_do_not_fit_are_refused(more: dict[str, Any], message: str) -> None:
    assert message in refusal({**ABC, **more})
