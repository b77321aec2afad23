from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from truing import feedback
from truing.errors import DataError
from truing.feedback import formats
from truing.feedback.convert import KINDS
from truing.group import Group, Prompt, Ranking, Response, StepLabels
from truing.studio import exporting
from truing.studio.store import Store

Team = Any


def test_everybodys_feedback_comes_under_their_name_in_the_items_own_order(
    store: Store, team: Callable[..., Team]
) -> None:
    t = team(store, 4, 2, overlap_share=1.0)
    for person, choices in enumerate([["first", "second"], ["second"]]):
        for choice in choices:
            t.label(person, choice)
    found = list(exporting.groups(store, t.project.id))
    assert [[(f.annotator_id, f.ranks) for f in group.feedback] for group in found] == [  # type: ignore[union-attr]
        [("person 0", (1, 2)), ("person 1", (2, 1))],
        [("person 0", (2, 1))],
    ]
    assert found[0].responses == (Response.of("yes 0"), Response.of("nope 0"))


def test_gold_and_test_items_are_left_out_unless_asked_for(
    one: Store, team: Callable[..., Team], pairs: Callable[..., list[Group]]
) -> None:
    t = team(one, 2, 1, gold_share=1.0)
    one.add_items(t.project.id, pairs(1, 50), [{"choice": "first"}])
    while t.label(0) is not None:
        pass
    assert len(list(exporting.groups(one, t.project.id))) == 2
    assert len(list(exporting.groups(one, t.project.id, known=True))) == 3


def test_earlier_feedback_and_columns_are_kept_and_comments_come_beside_them(one: Store) -> None:
    project = one.create_project("helpful", "pair", gold_share=0, overlap_share=0)
    before = Ranking((1, 2), annotator_id="file")
    one.add_items(
        project.id, [Group(Prompt.of("q"), (Response.of("a"), Response.of("b")), (before,), {"category": "x"})]
    )
    ann, _ = one.add_person("Ann")
    task = one.next_task(project.id, ann.id)
    assert task is not None
    one.submit(task.id, ann.id, {"choice": "tie", "comment": "the same"}, "k", 1)
    (group,) = exporting.groups(one, project.id)
    assert group.feedback == (before, Ranking((1, 1), annotator_id="Ann"))
    assert group.columns == {"category": "x", "annotator_comments": [{"annotator_id": "Ann", "text": "the same"}]}


def test_more_items_than_one_batch_come_in_order(one: Store, team: Callable[..., Team]) -> None:
    t = team(one, 450, 1)
    while t.label(0) is not None:
        pass
    found = [group.prompt.text for group in exporting.groups(one, t.project.id)]
    assert found == [f"question {i}" for i in range(450)]


def test_labels_are_written_as_pairs_as_groups_and_as_rankings(
    one: Store, team: Callable[..., Team], tmp_path: Path
) -> None:
    t = team(one, 3, 2, overlap_share=1.0)
    for person, choices in enumerate([["first", "second", "tie"], ["second", "second"]]):
        for choice in choices:
            t.label(person, choice)
    number = exporting.write(one, t.project.id, "preference", tmp_path / "pairs.jsonl")
    rows = [json.loads(line) for line in (tmp_path / "pairs.jsonl").read_text().splitlines()]
    assert number == len(rows) == 4
    assert [(r["annotator_id"], r["chosen"][0]["content"]) for r in rows] == [
        ("person 0", "yes 0"),
        ("person 1", "nope 0"),
        ("person 0", "nope 1"),
        ("person 1", "nope 1"),
    ]
    assert exporting.write(one, t.project.id, "group", tmp_path / "groups.jsonl") == 3
    assert feedback.read_all(tmp_path / "groups.jsonl") == list(exporting.groups(one, t.project.id))
    assert exporting.write(one, t.project.id, "ranking", tmp_path / "ranking.json") == 5


@pytest.mark.parametrize("tool", ["label_studio", "argilla"])
def test_what_two_people_said_goes_to_other_tools_and_comes_back(
    one: Store, team: Callable[..., Team], tmp_path: Path, tool: str
) -> None:
    t = team(one, 3, 2, overlap_share=1.0)
    for person, choices in enumerate([["first", "second", "tie"], ["second", "second"]]):
        for choice in choices:
            t.label(person, choice)
    assert exporting.write(one, t.project.id, tool, tmp_path / "tool.json") == 3
    back = feedback.read_all(tmp_path / "tool.json")
    exported = list(exporting.groups(one, t.project.id))
    assert [[(f.annotator_id, f.ranks) for f in group.said(Ranking)] for group in back] == [
        [(f.annotator_id, f.ranks) for f in group.said(Ranking)] for group in exported
    ]


def test_marks_on_steps_are_written_one_opinion_a_row(one: Store, tmp_path: Path) -> None:
    project = one.create_project("steps", "steps", overlap_share=1.0, gold_share=0)
    one.add_items(project.id, [Group(Prompt.of("q"), (Response.of_steps(["a", "b"]),))])
    for name, marks in (("Ann", [1, -1]), ("Bob", [1, 1])):
        person, _ = one.add_person(name)
        task = one.next_task(project.id, person.id)
        assert task is not None
        one.submit(task.id, person.id, {"marks": [marks]}, "k", 1)
    assert exporting.write(one, project.id, "stepwise", tmp_path / "steps.jsonl") == 2
    found = feedback.read_all(tmp_path / "steps.jsonl")
    assert [group.said(StepLabels)[0].values for group in found] == [((1, -1),), ((1, 1),)]


def test_a_format_that_cannot_say_it_refuses_and_leaves_no_file(
    one: Store, team: Callable[..., Team], tmp_path: Path
) -> None:
    t = team(one, 1, 1)
    t.label(0)
    with pytest.raises(DataError, match="does not fit format `stepwise`"):
        exporting.write(one, t.project.id, "stepwise", tmp_path / "steps.jsonl")
    with pytest.raises(DataError, match="Did you mean `preference`"):
        exporting.write(one, t.project.id, "preferense", tmp_path / "pairs.jsonl")
    assert [path for path in tmp_path.iterdir() if path.suffix == ".jsonl"] == []


def test_every_format_that_can_be_written_is_offered() -> None:
    assert set(exporting.targets()) == {n for n, f in formats.FORMATS.items() if f.writes} | set(KINDS)
