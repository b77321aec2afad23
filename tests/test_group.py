"""Groups and kinds of feedback."""

from __future__ import annotations

import subprocess
import sys

import pytest

from truing.group import Critique, Group, Labels, Message, Prompt, Ranking, Response, Scores, StepLabels

A, B, C = Response.of("a"), Response.of("b"), Response.of("c")
ASKED = Prompt.of("Which?")


def test_a_single_user_turn_reads_as_its_text() -> None:
    assert ASKED.text == "Which?"
    assert Prompt.of("Which?", system="Be brief.").text == "system: Be brief.\n\nuser: Which?"


def test_an_unknown_role_is_refused_by_name() -> None:
    with pytest.raises(ValueError, match="'human' is none of system, user, assistant, tool"):
        Message("human", "hi")


def test_a_response_reads_as_the_words_of_the_assistant_only() -> None:
    answer = Response((Message("assistant", "one"), Message("user", "and?"), Message("assistant", "two")))
    assert answer.text == "one\n\ntwo"


def test_steps_are_joined_and_kept() -> None:
    answer = Response.of_steps(["1 + 1", "= 2"])
    assert answer.text == "1 + 1\n= 2"
    assert answer.steps == ("1 + 1", "= 2")


def test_order_of_preference_becomes_ranks() -> None:
    # Response 2 is best, then 0; response 1 was not ranked.
    assert Ranking.order([2, 0], 3).ranks == (2, None, 1)


def test_a_ranking_of_three_gives_three_pairs() -> None:
    assert Ranking((2, 3, 1)).pairs() == [(0, 1), (2, 0), (2, 1)]


def test_ties_and_unranked_give_no_pair() -> None:
    assert Ranking((1, 1, None)).pairs() == []
    assert Ranking((1, 1, 2)).pairs() == [(0, 2), (1, 2)]


@pytest.mark.parametrize("strength", [0.49, 1.01, -1.0])
def test_a_strength_is_a_probability_of_at_least_one_half(strength: float) -> None:
    with pytest.raises(ValueError, match=r"outside 0\.5\.\.1"):
        Ranking.pair(strength=strength)


def test_strength_and_margin_belong_to_a_pair() -> None:
    with pytest.raises(ValueError, match="belong to a pair"):
        Ranking((1, 2, 3), margin=1.0)


def test_ranks_count_from_one() -> None:
    with pytest.raises(ValueError, match="count from 1"):
        Ranking((0, 1))


def test_a_score_outside_its_scale_is_refused() -> None:
    with pytest.raises(ValueError, match=r"overall score 6 is outside its scale 1\.\.5"):
        Scores({"overall": (6,)}, scale=(1, 5))
    assert Scores({"overall": (None, 5)}, scale=(1, 5)).values["overall"] == (None, 5)


def test_step_labels_are_right_neutral_wrong_or_none() -> None:
    assert StepLabels(((1, 0, -1, None),)).values == ((1, 0, -1, None),)
    assert not StepLabels(((1, 0, -1, None),)).soft
    assert StepLabels(((1, 0.75, None),)).soft
    with pytest.raises(ValueError, match="step labels"):
        StepLabels(((2,),))


@pytest.mark.parametrize(
    "said",
    [Ranking((1, 2, 3)), Scores({"x": (1.0,)}), Labels((True,)), StepLabels(((1,),)), Critique(("ok",))],
)
def test_feedback_speaks_of_every_response(said: Ranking | Scores | Labels | StepLabels | Critique) -> None:
    with pytest.raises(ValueError, match="the group has 2"):
        Group(ASKED, (A, B), (said,))


def test_aspects_must_score_the_same_number_of_responses() -> None:
    with pytest.raises(ValueError, match=r"different numbers of responses: \[1, 2\]"):
        Group(ASKED, (A, B), (Scores({"x": (1.0,), "y": (1.0, 2.0)}),))


def test_feedback_is_found_by_kind() -> None:
    ranking, labels = Ranking((1, 2, 3)), Labels((True, None, False))
    group = Group(ASKED, (A, B, C), (ranking, labels))
    assert group.said(Ranking) == (ranking,)
    assert group.said(Scores) == ()


def test_feedback_needs_no_torch() -> None:
    code = "import sys, truing.group, truing.feedback.convert, truing.feedback.check; print('torch' in sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "False"
