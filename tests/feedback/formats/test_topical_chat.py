"""Likert scores on several scales."""

from __future__ import annotations

import pytest

from truing.errors import DataError
from truing.feedback import formats
from truing.feedback.formats.topical_chat import FORMAT
from truing.group import Message, Scores

ROW = {
    "source": "hi \n hello \n what now ? \n\n",
    "context": "a fact\n",
    "system_output": "this . ",
    "scores": {"groundedness": 1.0, "naturalness": 2.5, "overall": 4.0, "coherence": 3.0},
    "system_id": "x",
}


def test_the_last_line_is_the_users_and_the_fact_the_systems() -> None:
    group = FORMAT.read(ROW, "f:1")
    assert formats.recognised(ROW) is FORMAT
    assert group.prompt.messages == (
        Message("system", "a fact"),
        Message("user", "hi"),
        Message("assistant", "hello"),
        Message("user", "what now ?"),
    )
    assert group.responses[0].text == "this ."
    assert group.columns == {"system_id": "x"}


def test_each_scale_is_a_feedback_of_its_own_and_overall_comes_first() -> None:
    assert FORMAT.read(ROW, "f:1").feedback == (
        Scores({"overall": (4.0,)}, (1.0, 5.0)),
        Scores({"naturalness": (2.5,), "coherence": (3.0,)}, (1.0, 3.0)),
        Scores({"groundedness": (1.0,)}, (0.0, 1.0)),
    )


def test_a_score_outside_its_scale_and_an_unknown_aspect_are_refused() -> None:
    with pytest.raises(DataError, match="naturalness score 4.0 is outside its scale 1.0..3.0"):
        FORMAT.read({**ROW, "scores": {"naturalness": 4}}, "f:1")
    with pytest.raises(DataError, match="`scores` is an object with keys 'wit'"):
        FORMAT.read({**ROW, "scores": {"wit": 1}}, "f:1")
