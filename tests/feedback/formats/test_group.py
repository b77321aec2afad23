"""Any group at all."""

from __future__ import annotations

from typing import Any

import pytest

from truing.errors import DataError
from truing.feedback.formats import FORMATS, sniff
from truing.group import Critique, Group, Labels, Prompt, Ranking, Response, Scores

ABC = {"prompt": "Which?", "responses": ["a", "b", "c"]}


def read(row: dict[str, Any]) -> Group:
    return sniff(row, "f:1").read(row, "f:1")


def refusal(row: dict[str, Any]) -> str:
    with pytest.raises(DataError) as caught:
        read(row)
    assert caught.value.where == "f:1"
    assert caught.value.remedy is not None
    return str(caught.value)


def test_responses_alone_are_samples_that_nobody_judged() -> None:
    group = read({**ABC, "model": "m"})
    assert group == Group(Prompt.of("Which?"), tuple(map(Response.of, "abc")), columns={"model": "m"})


def test_the_format_group_holds_what_no_other_can() -> None:
    said = (
        Ranking((1, 2), strength=0.9, margin=1.0, annotator_id="x"),
        Scores({"kind": (1.0, None)}, scale=(1.0, 5.0)),
        Labels((True, None)),
        Critique(("too long", None), (Response.of("shorter"), None), "y"),
    )
    group = Group(Prompt(), (Response.of_steps(["a", "b"]), Response.of("")), said, {"id": 1})
    row = FORMATS["group"].write(group)
    assert [f["kind"] for f in row["feedback"]] == ["ranking", "scores", "labels", "critique"]
    assert read(row) == group


@pytest.mark.parametrize(
    ("said", "message"),
    [
        ({"kind": "rankin", "ranks": [1, 2, 3]}, "Did you mean `ranking`?"),
        ({"ranks": [1, 2, 3]}, "An object with a `kind` each"),
        ("best", "`feedback` holds 'best'"),
        ({"kind": "ranking", "ranks": [1, 2]}, "Ranking speaks of 2 responses, the group has 3"),
        ({"kind": "ranking", "ranks": [0, 1, 2]}, "count from 1"),
        ({"kind": "ranking", "ranks": ["1", 2, 3]}, "`ranks` is"),
        ({"kind": "labels", "values": [1, 0, 1]}, "true, false or null"),
        ({"kind": "step_labels", "values": [[2], [1], [1]]}, "step labels are"),
        ({"kind": "scores", "values": [1, 2, 3]}, "An object of lists by aspect"),
        ({"kind": "critique", "texts": "bad"}, "should be a list"),
    ],
)
def test_feedback_that_means_nothing_is_refused(said: Any, message: str) -> None:
    assert message in refusal({**ABC, "feedback": [said]})
