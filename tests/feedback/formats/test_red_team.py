"""Rated attacks."""

from __future__ import annotations

import pytest

from truing.errors import DataError
from truing.feedback.formats.red_team import FORMAT
from truing.group import Prompt, Scores

ROW = {"transcript": "\n\nHuman: Hi\n\nAssistant: Hello\n\nHuman: Well?", "rating": 3.0, "model_type": "rlhf"}


def test_the_first_turn_is_the_prompt_and_the_rating_a_score() -> None:
    group = FORMAT.read(ROW, "f:1")
    assert group.prompt == Prompt.of("Hi")
    assert [m.content for m in group.responses[0].messages] == ["Hello", "Well?"]
    assert group.feedback == (Scores({"red_team_success": (3.0,)}, scale=(0.0, 4.0)),)
    assert FORMAT.write(group) == ROW


def test_a_rating_outside_its_scale_is_refused() -> None:
    with pytest.raises(DataError, match="outside its scale"):
        FORMAT.read({**ROW, "rating": 5}, "f:1")


def test_a_dialogue_without_an_answer_is_refused() -> None:
    with pytest.raises(DataError, match="no turn of `transcript` is the assistant's"):
        FORMAT.read({**ROW, "transcript": "\n\nHuman: Hi"}, "f:1")
