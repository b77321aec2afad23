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
from truing.feedback.files import check_source, is_store
from truing.group import Group, Prompt, Ranking, Response, StepLabels
from truing.studio import exporting
from truing.studio.errors import StoreError
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


# ── `--data studio.db` ───────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize(
    ("source", "is_one"),
    [
        ("studio.db", True),
        ("a/b.sqlite3#helpful", True),
        ("studio.db#a project", True),
        ("postgresql://u@h/db#helpful", True),
        ("sqlite:///studio.db", True),
        ("pairs.jsonl", False),
        ("owner/name", False),
        ("pairs.db.jsonl", False),
        ("https://x/studio", False),
    ],
)
def test_a_store_is_known_by_its_name(source: str, is_one: bool) -> None:
    assert is_store(source) is is_one


def test_a_store_is_read_as_a_file_of_feedback(url: str, team: Callable[..., Team]) -> None:
    with Store.open(url) as store:
        t = team(store, 3, 1)
        t.label(0, "first")
        t.label(0, "second")
        exported = list(exporting.groups(store, t.project.id))
        check_source(url)
        assert feedback.read_all(url) == exported  # while it is open, and people label
        assert feedback.read_all(f"{url}#helpful") == exported
        assert feedback.sniff(url).name == "group"
        (where, _), *_ = feedback.located(url)
        assert where.endswith("#helpful: item 1")


def test_which_project_is_meant_must_be_clear(one: Store, tmp_path: Path, team: Callable[..., Team]) -> None:
    path = tmp_path / "studio.db"
    with pytest.raises(StoreError, match="no project"):
        feedback.read_all(path)
    t = team(one, 1, 1)
    with pytest.raises(DataError, match="nothing is labelled"):
        feedback.read_all(path)
    t.label(0)
    one.create_project("honest", "pair")
    with pytest.raises(
        StoreError, match=r"several projects: helpful, honest\s+Name one after a #: .*studio.db#helpful"
    ):
        feedback.read_all(path)
    with pytest.raises(StoreError, match="Did you mean 'helpful'"):
        feedback.read_all(f"{path}#helpfull")
    assert len(feedback.read_all(f"{path}#helpful")) == 1


def test_a_store_that_is_not_there_is_not_made_by_reading_it(tmp_path: Path) -> None:
    with pytest.raises(DataError, match="no such file"):
        check_source(tmp_path / "studio.db")
    with pytest.raises(StoreError, match="no such file"):
        feedback.read_all(tmp_path / "studio.db")
    assert list(tmp_path.iterdir()) == []


def test_a_reward_model_is_trained_on_a_store_by_its_name(
    one: Store, toy_folder: Path, tmp_path: Path, pairs: Callable[..., list[Group]]
) -> None:
    from typer.testing import CliRunner

    from truing.cli import app
    from truing.record import read_record

    project = one.create_project("helpful", "pair", overlap_share=0, gold_share=0)
    texts = [Response.of("it was good"), Response.of("it was bad")]
    one.add_items(project.id, [Group(Prompt.of(f"moon {i}"), tuple(texts[:: (-1) ** i])) for i in range(24)])
    ann, _ = one.add_person("Ann")
    while (task := one.next_task(project.id, ann.id)) is not None:
        choice = "first" if task.group.responses[0].text == "it was good" else "second"
        one.submit(task.id, ann.id, {"choice": choice}, f"{task.id}", 1)
    command = [
        "train", "reward", "--model", toy_folder, "--data", f"{tmp_path}/studio.db#helpful", "--out", tmp_path / "run",
        "--set", "batch_size=8", "--set", "epochs=4", "--set", "update.learning_rate=0.003",
        "--set", "validation_share=0.2",
    ]  # fmt: skip
    done = CliRunner().invoke(app, [str(word) for word in command])
    assert done.exit_code == 0, done.output
    assert read_record(tmp_path / "run")[-1]["eval/rewards/accuracies"] == 1.0
