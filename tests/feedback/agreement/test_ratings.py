"""Who said what of what, out of groups."""

from __future__ import annotations

import pytest

from truing.errors import DataError
from truing.feedback.agreement.ratings import of_columns, of_groups
from truing.group import Critique, Feedback, Group, Labels, Prompt, Ranking, Response, Scores, StepLabels


def group(*texts: str, said: tuple[Feedback, ...], prompt: str = "p", **columns: object) -> Group:
    return Group(Prompt.of(prompt), tuple(map(Response.of, texts)), said, columns)


def test_a_pair_shown_the_other_way_round_is_the_same_item() -> None:
    made = of_groups(
        [
            ("f:1", group("a", "b", said=(Ranking((1, 2), annotator_id="ann"),))),
            ("f:2", group("b", "a", said=(Ranking((2, 1), annotator_id="ben"),))),
            ("f:3", group("b", "a", said=(Ranking((1, 1), annotator_id="cem"),))),
        ]
    )
    question = made.questions["preference"]
    assert question.said == {(0, 0, 1): {"ann": 1, "ben": 1, "cem": 0}}
    assert [question.word(v) for v in (1, 0, -1)] == ["first", "tie", "second"]
    assert made.places[0].where == "f:1"


def test_a_ranking_of_three_is_its_three_comparisons_and_the_unranked_give_none() -> None:
    made = of_groups(
        [
            ("f:1", group("a", "b", "c", said=(Ranking((2, 1, 2), annotator_id="ann"),))),
            ("f:2", group("c", "a", "b", said=(Ranking((1, 2, None), annotator_id="ben"),))),
        ]
    )
    assert made.questions["ranking"].said == {
        (0, 0, 1): {"ann": -1},
        (0, 0, 2): {"ann": 0, "ben": -1},
        (0, 1, 2): {"ann": 1},
    }


def test_scores_thumbs_and_steps_are_asked_of_each_response() -> None:
    feedback = (
        Scores({"clear": (1, None), "kind": (2, 3)}, (1, 5), "ann"),
        Labels((True, None), "ann"),
        StepLabels(((1, None, -1), (0,)), "ann"),
    )
    made = of_groups([("f:1", group("a", "b", said=feedback))])
    found = {question.name: (question.level, question.said) for question in made.questions.values()}
    assert found == {
        "score clear (1..5)": ("interval", {(0, 0): {"ann": 1.0}}),
        "score kind (1..5)": ("interval", {(0, 0): {"ann": 2.0}, (0, 1): {"ann": 3.0}}),
        "thumbs": ("nominal", {(0, 0): {"ann": True}}),
        "steps": ("ordinal", {(0, 0, 0): {"ann": 1}, (0, 0, 2): {"ann": -1}, (0, 1, 0): {"ann": 0}}),
    }


def test_probabilities_of_steps_are_numbers() -> None:
    made = of_groups([("f:1", group("a", said=(StepLabels(((0.5, 1),), "ann"),)))])
    assert made.questions["steps"].level == "interval"


def test_whoever_judges_again_counts_once_and_is_counted() -> None:
    rows = [("f:1", group("a", said=(Labels((value,), "ann"),))) for value in (True, True, False)]
    question = of_groups(rows).questions["thumbs"]
    assert question.said == {(0, 0): {"ann": True}}
    assert (question.num_repeats, question.num_repeats_alike) == (2, 1)


def test_what_cannot_be_compared_is_counted_with_the_reason() -> None:
    made = of_groups(
        [
            ("f:1", group("a", "a", said=(Ranking((1, 2), annotator_id="ann"),))),
            ("f:2", group("a", said=(Labels((True,)), Critique(("no",), annotator_id="ann")))),
        ]
    )
    assert sum(map(len, (question.said for question in made.questions.values()))) == 0
    assert dict(made.left_out) == {
        "comparisons of two equal responses": 1,
        "without `annotator_id`: nobody knows who said it": 1,
        "critiques: words are not compared": 1,
    }


def test_a_column_can_tell_items_apart_that_have_the_same_texts() -> None:
    rows = [("f:1", group("a", said=(Labels((True,), "ann"),), id=i, topic=["x"])) for i in (7, 7, 8)]
    assert len(of_groups(rows).places) == 1
    made = of_groups(rows, item="id", by="id")
    assert [place.by for place in made.places] == ["7", "8"]
    with pytest.raises(DataError, match="no row has the column `subject`\n  Columns: id, topic."):
        of_groups(rows, by="subject")


def test_control_characters_of_a_prompt_do_not_reach_the_terminal() -> None:
    made = of_groups([("f:1", group("a", said=(), prompt="\x1b[31mred\u202e\n" + "x" * 200))])
    assert made.places[0].excerpt.startswith("?[31mred? x")
    assert len(made.places[0].excerpt) == 60


def test_columns_of_a_table_are_annotators() -> None:
    rows = [("f:1", {"text": "t", "a": "yes", "b": "no"}), ("f:2", {"text": "u", "a": "", "b": "no"})]
    question = of_columns(rows, ["a", "b"], "nominal").questions["columns"]
    assert question.said == {(0,): {"a": "yes", "b": "no"}, (1,): {"b": "no"}}
    numbers = of_columns([("f:1", {"a": "3", "b": 4})], ["a", "b"], "ordinal").questions["columns"]
    assert numbers.said == {(0,): {"a": 3.0, "b": 4.0}}
    with pytest.raises(DataError, match="f:1: there is no column `c`\n  Its columns: text, a, b."):
        of_columns(rows, ["a", "c"], "nominal")
    with pytest.raises(DataError, match="f:1: column `a` holds 'yes'\n  It should be a finite number."):
        of_columns(rows, ["a", "b"], "interval")
    with pytest.raises(DataError, match="A rating is a word"):
        of_columns([("f:1", {"a": [1], "b": 2})], ["a", "b"], "nominal")
