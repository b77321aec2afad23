"""Rankings of K."""

from __future__ import annotations

from typing import Any

import pytest

from truing.errors import DataError
from truing.feedback.formats import FORMATS, sniff
from truing.feedback.formats.ranking import order
from truing.group import Group, Ranking

ABC = {"prompt": "Which?", "responses": ["a", "b", "c"]}


def read(row: dict[str, Any]) -> Group:
    return sniff(row, "f:1").read(row, "f:1")


def refusal(row: dict[str, Any]) -> str:
    with pytest.raises(DataError) as caught:
        read(row)
    assert caught.value.where == "f:1"
    assert caught.value.remedy is not None
    return str(caught.value)


def test_a_ranking_lists_indices_best_first() -> None:
    group = read({**ABC, "ranking": [2, 0, 1], "annotator_id": "ann"})
    assert group.feedback == (Ranking((2, 3, 1), annotator_id="ann"),)
    assert FORMATS["ranking"].write(group)["ranking"] == [2, 0, 1]


def test_ties_are_lists_and_the_unnamed_are_unranked() -> None:
    assert read({**ABC, "ranking": [[0, 2], 1]}).feedback == (Ranking((1, 2, 1)),)
    assert read({**ABC, "ranking": [1]}).feedback == (Ranking((None, 1, None)),)
    assert order((1, 3, 1)) == [[0, 2], 1]
    assert order((None, 1, None)) == [1]


@pytest.mark.parametrize(
    ("ranking", "message"),
    [
        ([1, 2, 3], "`ranking` names response 3, and there are 3\n  Indices count from 0."),
        ([-1], "names response -1"),
        ([0, 0], "names response 0 twice"),
        ([True], "names response True"),
        ([0.0], "names response 0.0"),
        (["a"], "names response 'a'"),
        ([], "at least one item"),
        ("best", "should be a list"),
        (None, "is null"),
    ],
)
def test_a_ranking_that_names_no_responses_is_refused(ranking: Any, message: str) -> None:
    assert message in refusal({**ABC, "ranking": ranking})
