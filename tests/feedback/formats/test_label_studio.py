"""Exports of Label Studio as its documentation shows them, and the interface for tasks that go in."""

from __future__ import annotations

import xml.etree.ElementTree as ElementTree
from pathlib import Path
from typing import Any

import pytest
from typer.testing import CliRunner

from truing import feedback
from truing.cli import app
from truing.errors import DataError
from truing.feedback.agreement import agreement
from truing.feedback.formats.label_studio import config, read, write
from truing.group import Critique, Group, Labels, Prompt, Ranking, Response, Scores

PAIR = {"prompt": "The quick brown fox...", "answer1": "jumps over the lazy dog.", "answer2": "bags few lynx."}
ITEMS = {"prompt": "Why?", "items": [{"id": f"llm_{i}", "title": f"LLM {i}", "body": f"b{i}"} for i in (1, 2, 3)]}


def task(data: dict[str, Any], *annotations: Any, **more: Any) -> dict[str, Any]:
    """As the server exports it, with what it notes besides."""
    notes = {"id": 12, "inner_id": 3, "project": 8, "created_at": "2023-01-01T00:00:00Z", "drafts": [], "meta": {}}
    return {**notes, "data": data, "annotations": list(annotations), "predictions": [], **more}


def annotation(*results: Any, by: Any = 1, **more: Any) -> dict[str, Any]:
    return {"id": 1001, "completed_by": by, "was_cancelled": False, "lead_time": 4.2, "result": list(results), **more}


def result(kind: str, value: Any, name: str = "q", about: str = "answer1", key: str = "") -> dict[str, Any]:
    return {
        "id": "Dx_a",
        "from_name": name,
        "to_name": about,
        "type": kind,
        "origin": "manual",
        "value": {key or kind: value},
    }


def pairwise(selected: str) -> dict[str, Any]:
    return {"from_name": "pw", "to_name": "answer1", "type": "pairwise", "value": {"selected": selected}}


def test_a_pairwise_export_with_two_annotators() -> None:
    group = read(
        task(PAIR, annotation(pairwise("left")), annotation(pairwise("right"), by={"id": 2, "email": "b@x.org"})), "f:1"
    )
    assert group.prompt == Prompt.of("The quick brown fox...")
    assert [response.text for response in group.responses] == ["jumps over the lazy dog.", "bags few lynx."]
    assert group.feedback == (Ranking((1, 2), annotator_id="1"), Ranking((2, 1), annotator_id="b@x.org"))
    assert group.columns == {"task_id": 12}


def test_a_tie_is_a_choice() -> None:
    group = read(task(PAIR, annotation(result("choices", ["Tie"], "tie"))), "f:1")
    assert group.feedback == (Ranking((1, 1), annotator_id="1"),)


@pytest.mark.parametrize(
    ("ranker", "ranks"),
    [
        ({"rank": ["llm_3", "llm_1", "llm_2"]}, (2, 3, 1)),
        ({"rank": ["llm_3", "llm_1"]}, (2, None, 1)),
        ({"place1": ["llm_2", "llm_1"], "place2": ["llm_3"]}, (1, 1, 2)),
        ({"place10": ["llm_1"], "place2": ["llm_3", "llm_2"]}, (2, 1, 1)),
        ({"_": ["llm_2"], "irrelevant_results": ["llm_1"], "relevant_results": ["llm_3"]}, (2, None, 1)),
        ({"positives": ["llm_1"], "hard_negatives": ["llm_2", "llm_3"], "_": []}, (1, 2, 2)),
        ({"place1": ["llm_1", "llm_2", "llm_3"]}, (1, 1, 1)),
    ],
)
def test_rankers_are_orders_and_buckets_are_places(ranker: dict[str, Any], ranks: tuple[int | None, ...]) -> None:
    group = read(task(ITEMS, annotation(result("ranker", ranker, about="items"))), "f:1")
    assert group.feedback == (Ranking(ranks, annotator_id="1"),)


def test_ratings_choices_and_text_are_about_the_answer_that_they_point_to() -> None:
    answers = annotation(
        result("rating", 4, "quality", "answer1"),
        result("rating", 2, "quality_answer2", "answer2"),
        result("choices", ["good"], "verdict", "answer2"),
        result("textarea", ["too short", "and dull"], "why", "answer2", "text"),
        result("textarea", "bags a few lynx.", "corrected", "answer2", "text"),
    )
    group = read(task({**PAIR, "rating_scale": [1, 5]}, answers), "f:1")
    assert group.feedback == (
        Scores({"quality": (4.0, 2.0)}, (1.0, 5.0), "1"),
        Labels((None, True), "1"),
        Critique((None, "too short\nand dull"), (None, Response.of("bags a few lynx.")), "1"),
    )


def test_what_is_no_feedback_is_kept_and_compared(tmp_path: Path) -> None:
    topics = [annotation(result("choices", ["law"], "topic", "prompt"), pairwise("left"), by=by) for by in (1, 2)]
    topics[1]["result"][0]["value"]["choices"] = ["sport"]
    made = read(task(PAIR, *topics, annotation(by=3, was_cancelled=True), annotation(by=4)), "f:1")
    assert made.columns["other_answers"] == [
        {"question": "topic", "annotator_id": "1", "value": "law"},
        {"question": "topic", "annotator_id": "2", "value": "sport"},
    ]
    assert made.columns["skipped_by"] == ["3", "4"]
    feedback.write([made], tmp_path / "t.json", "label_studio")
    assert feedback.read_all(tmp_path / "t.json") == [made]
    found = {question.name: question for question in agreement(tmp_path / "t.json").questions}
    assert found["topic"].confusions == {"law / sport": 1}
    assert found["preference"].overall["percent"].value == 1.0


def test_predictions_are_kept_apart() -> None:
    guess = {"model_version": "judge 1", "score": 0.9, "result": [pairwise("right")]}
    group = read(task(PAIR, annotation(pairwise("left")), predictions=[guess, 17]), "f:1")
    assert group.feedback == (Ranking((1, 2), annotator_id="1"),)
    assert group.columns["predictions"] == [{"kind": "ranking", "ranks": [2, 1], "annotator_id": "judge 1"}]
    assert write(group)["predictions"][0]["model_version"] == "judge 1"


@pytest.mark.parametrize(
    ("answer", "words"),
    [
        (
            result("rectanglelabels", ["x"], "box"),
            "`box` is a result of the type 'rectanglelabels'.*\n.*Known: pairwise",
        ),
        (result("pairwise", "up", "pw", key="selected"), "the answer to `pw` is 'up'"),
        (result("ranker", {"llm": ["nobody"]}, "rank"), "the answer to `rank` is 'nobody'\n.*answer1, answer2"),
        (result("ranker", {"rank": ["answer1", "answer1"]}, "rank"), "ranks 'answer1' twice"),
        (result("ranker", {"a pile": ["answer1"], "b pile": []}, "rank"), "bucket `a pile`, and nothing says how good"),
        (result("ranker", {"rank": "answer1"}, "rank"), "a list a bucket"),
        (result("ranker", {"rank": [["answer1"]]}, "rank"), r"the answer to `rank` is \['answer1'\]"),
        (result("rating", "many", "stars"), "column `stars` holds 'many'"),
        (result("rating", True, "stars"), "column `stars` holds True"),
        (result("choices", [1], "c"), "the answer to `c` is"),
        (result("textarea", [], "t", key="text"), "the answer to `t` is"),
        ({"type": "pairwise", "from_name": "pw"}, "A result has a `value`"),
        ({"value": {}}, "It needs a `type`"),
        (result("rating", 3, "n" * 201), "a question is called 'nnn"),
        ("x", "holds the result 'x'"),
    ],
)
def test_what_cannot_be_understood_is_an_error_that_names_it(answer: Any, words: str) -> None:
    with pytest.raises(DataError, match=words) as caught:
        read(task(PAIR, annotation(answer)), "f:7")
    assert caught.value.where == "f:7"
    assert caught.value.remedy


def test_the_same_question_twice_by_one_person_is_an_error() -> None:
    for twice in (pairwise("left"), result("rating", 3, "stars"), result("choices", ["up"], "thumb")):
        with pytest.raises(DataError, match="answered twice by one person"):
            read(task(PAIR, annotation(twice, twice)), "f:1")


def test_ratings_outside_of_the_scale_and_a_strength_without_a_preference_are_errors() -> None:
    with pytest.raises(DataError, match="9.0 is outside its scale"):
        read(task({**PAIR, "rating_scale": [1, 5]}, annotation(result("rating", 9, "stars"))), "f:1")
    with pytest.raises(DataError, match="a strength or margin without a preference"):
        read(task(PAIR, annotation(result("number", 0.9, "strength"))), "f:1")
    with pytest.raises(DataError, match="strength 7.0 is outside 0.5..1"):
        read(task(PAIR, annotation(pairwise("left"), result("number", 7, "strength"))), "f:1")


def test_tasks_that_go_out_look_as_the_documentation_has_them() -> None:
    group = Group(
        Prompt.of("q"),
        (Response.of("a"), Response.of("b")),
        (Ranking((2, 1), 0.75, annotator_id="7"), Scores({"clear": (4, None)}, (1, 5), "7")),
        {"topic": "law"},
    )
    assert write(group) == {
        "data": {
            "prompt": [{"role": "user", "content": "q"}],
            "answer1": "a",
            "answer2": "b",
            "topic": "law",
            "rating_scale": [1, 5],
        },
        "annotations": [
            {
                "completed_by": 7,
                "was_cancelled": False,
                "result": [
                    {
                        "from_name": "preference",
                        "to_name": "answer1",
                        "type": "pairwise",
                        "value": {"selected": "right"},
                    },
                    {"from_name": "strength", "to_name": "answer1", "type": "number", "value": {"number": 0.75}},
                    {"from_name": "clear_answer1", "to_name": "answer1", "type": "rating", "value": {"rating": 4}},
                ],
            }
        ],
    }


def names_and_targets(xml: str) -> tuple[set[str], set[str], set[str]]:
    root = ElementTree.fromstring(xml)
    named = {element.attrib["name"] for element in root.iter() if "name" in element.attrib}
    to = {name for element in root.iter() for name in element.attrib.get("toName", "").split(",") if name}
    data = {e.attrib["value"][1:] for e in root.iter() if e.attrib.get("value", "").startswith("$")}
    return named, to, data


@pytest.mark.parametrize("size", [1, 2, 3])
def test_the_interface_has_a_tag_for_every_answer_and_field(size: int) -> None:
    said = (
        Ranking(tuple(range(1, size + 1)), annotator_id="a"),
        Scores({'cl"ear': (7.0,) * size}, (1, 10), "a"),
        Labels((True,) * size, "a"),
        Critique(("no",) * size, (Response.of("better"),) * size, "a"),
    )
    group = Group(Prompt.of("q"), tuple(Response.of(f"r{i}") for i in range(size)), said)
    row = write(group)
    named, targets, fields = names_and_targets(config([group]))
    results = row["annotations"][0]["result"]
    if size > 1:
        assert {each["from_name"] for each in results} <= named
        assert {each["to_name"] for each in results} <= named
        assert fields <= set(row["data"])
    assert targets <= named
    assert 'maxRating="10"' in config([group])


def test_the_interface_asks_for_what_nobody_said_yet_and_wants_one_number_of_responses() -> None:
    bare = Group(Prompt.of("q"), (Response.of("a"), Response.of("b")))
    assert "Pairwise" in config([bare], kinds=["preference"])
    assert "Pairwise" not in config([bare])
    with pytest.raises(DataError, match="the groups have 1, 2 responses"):
        config([bare, Group(Prompt.of("q"), (Response.of("a"),))])
    with pytest.raises(DataError, match="the groups have no responses"):
        config([])


def test_the_verbs_convert_to_tasks_and_write_the_interface(tmp_path: Path) -> None:
    group = Group(Prompt.of("q"), (Response.of("a"), Response.of("b")), (Ranking((1, 2), annotator_id="ann"),))
    feedback.write([group], tmp_path / "g.jsonl", "group")
    run = CliRunner().invoke(
        app,
        ["feedback", "convert", str(tmp_path / "g.jsonl"), "--to", "label_studio", "--out", str(tmp_path / "t.json")],
    )
    assert run.exit_code == 0
    assert feedback.sniff(tmp_path / "t.json").name == "label_studio"
    assert feedback.read_all(tmp_path / "t.json") == [group]
    guess = [
        "feedback",
        "convert",
        str(tmp_path / "g.jsonl"),
        "--predictions",
        "--out",
        str(tmp_path / "p.json"),
        "--to",
    ]
    assert CliRunner().invoke(app, [*guess, "label_studio"]).exit_code == 0
    (guessed,) = feedback.read(tmp_path / "p.json")
    assert guessed.feedback == ()
    assert guessed.columns["predictions"][0]["annotator_id"] == "ann"
    assert isinstance(CliRunner().invoke(app, [*guess, "preference"]).exception, DataError)
    interface = ["feedback", "interface", str(tmp_path / "t.json"), "--out", str(tmp_path / "i.xml"), "--ask", "clear"]
    assert CliRunner().invoke(app, interface).exit_code == 0
    named, *_ = names_and_targets((tmp_path / "i.xml").read_text())
    assert {"prompt", "preference", "answer1", "clear_answer2"} <= named
