"""Records of Argilla 2 as `records.to_json` writes them, and of Argilla 1."""

from __future__ import annotations

from typing import Any

import pytest

from truing.errors import DataError
from truing.feedback.formats.argilla import read, write
from truing.group import Critique, Group, Labels, Prompt, Ranking, Response, Scores

FIELDS = {"prompt": "p", "response1": "a", "response2": "b"}
ANN, BEN = "11111111-1111-4111-8111-111111111111", "22222222-2222-4222-8222-222222222222"


def record(fields: dict[str, Any], responses: Any, **more: Any) -> dict[str, Any]:
    own = {"id": "r1", "metadata": {"topic": "law"}, "suggestions": {}, "vectors": {}, "_server_id": "s1"}
    return {**own, "fields": fields, "responses": responses, **more}


def by(value: Any, user: str = ANN) -> dict[str, Any]:
    return {"value": value, "user_id": user}


def test_a_record_of_two_people() -> None:
    responses = {
        "ranking": [
            by(["response2", "response1"]),
            by([{"value": "response1", "rank": 1}, {"value": "response2", "rank": 1}], BEN),
        ],
        "clear_response2": [by(4)],
        "why": [by("because")],
    }
    group = read(record(FIELDS, responses), "f:1")
    assert group.prompt == Prompt.of("p")
    assert group.feedback == (
        Ranking((2, 1), annotator_id=ANN),
        Scores({"clear": (None, 4.0)}, None, ANN),
        Ranking((1, 1), annotator_id=BEN),
    )
    assert group.columns == {
        "topic": "law",
        "record_id": "r1",
        "other_answers": [{"question": "why", "annotator_id": ANN, "value": "because"}],
    }


@pytest.mark.parametrize(("word", "ranks"), [("response2", (2, 1)), ("tie", (1, 1)), ("left", (1, 2))])
def test_a_label_can_be_a_preference(word: str, ranks: tuple[int, int]) -> None:
    group = read(record(FIELDS, {"better": [by(word)]}), "f:1")
    assert group.feedback == (Ranking(ranks, annotator_id=ANN),)


def test_of_one_response_every_question_is_about_it() -> None:
    responses = {"label": [by("bad")], "quality": [by(2)], "reason": [by("wrong year")], "edited": [by("1969")]}
    group = read(record({"instruction": "p", "response": "1970"}, responses), "f:1")
    assert group.feedback == (
        Labels((False,), ANN),
        Scores({"quality": (2.0,)}, None, ANN),
        Critique(("wrong year",), (Response.of("1969"),), ANN),
    )


def test_argilla_1_lists_people_and_drafts_are_nobodys_judgement() -> None:
    responses = [
        {"user_id": ANN, "status": "submitted", "values": {"ranking": {"value": [{"value": "response1", "rank": 1}]}}},
        {"user_id": BEN, "status": "discarded", "values": None},
    ]
    suggestions = [{"question_name": "better", "value": "response2", "agent": "judge", "score": 0.9}]
    group = read(record(FIELDS, responses, suggestions=suggestions), "f:1")
    assert group.feedback == (Ranking((1, None), annotator_id=ANN),)
    assert group.columns["skipped_by"] == [BEN]
    assert group.columns["predictions"] == [{"kind": "ranking", "ranks": [2, 1], "annotator_id": "judge"}]


def test_records_that_go_out_look_as_to_json_writes_them() -> None:
    said = (Ranking((2, 1), annotator_id=ANN), Labels((True, None), ANN))
    row = write(Group(Prompt.of("p"), (Response.of("a"), Response.of("b")), said, {"topic": "law"}))
    assert row == {
        "fields": {"prompt": [{"role": "user", "content": "p"}], "response1": "a", "response2": "b"},
        "metadata": {"topic": "law"},
        "responses": {"ranking": [by(["response2", "response1"])], "thumb_response1": [by("up")]},
        "suggestions": {},
    }


@pytest.mark.parametrize(
    ("responses", "words"),
    [
        ({"spans": [by([{"start": 0, "end": 3, "label": "x"}])]}, "the answer to `spans` is spans of text"),
        ({"ranking": [by([{"value": "response9", "rank": 1}])]}, "the answer to `ranking` is 'response9'"),
        ({"ranking": [by(["response1", "response1"])]}, "ranks 'response1' twice"),
        ({"q": [by(True)]}, "the answer to `q` is True"),
        ({"q": "x"}, "It should be a list of responses"),
        ({"q": ["x"]}, "a response to `q` is 'x'"),
        ({"q": [{"value": "x", "user_id": [1]}]}, "user_id"),
        ("x", "column `responses` holds 'x'"),
        ([1], "a response is 1"),
        ({"thumb_response1": [by("up"), by("down")]}, "answered twice by one person"),
    ],
)
def test_what_cannot_be_understood_is_an_error_that_names_it(responses: Any, words: str) -> None:
    with pytest.raises(DataError, match=words) as caught:
        read(record(FIELDS, responses), "f:7")
    assert caught.value.where == "f:7"
    assert caught.value.remedy


@pytest.mark.parametrize(
    ("said", "words"),
    [
        ((Scores({"s": (3.5, 1)}, None, "a"),), "a score of 3.5"),
        ((Scores({"s": (11, 1)}, None, "a"),), "a score of 11"),
        ((Labels((True, None), "a"), Labels((False, None), "a")), "answered twice by a"),
        ((Scores({"s": (1, 1)}, (0, 5), "a"), Scores({"t": (1, 1)}, None, "a")), "scores on several scales"),
    ],
)
def test_what_argilla_cannot_hold_is_refused(said: Any, words: str) -> None:
    with pytest.raises(DataError, match=words):
        write(Group(Prompt.of("p"), (Response.of("a"), Response.of("b")), said))
