"""The live numbers of a project, worked out by hand or on its exported file."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from truing.feedback.agreement.ratings import of_groups
from truing.feedback.agreement.report import report
from truing.group import Group, Prompt, Response
from truing.studio import exporting, quality
from truing.studio.store import Store

Team = Any


def _by_name(summary: quality.Summary) -> dict[str, quality.PersonQuality]:
    return {person.name: person for person in summary.people}


def test_an_empty_project_has_no_numbers_and_no_warnings(store: Store, team: Callable[..., Team]) -> None:
    t = team(store, 3, 1)
    found = quality.summary(store, t.project.id)
    assert found.progress == quality.Progress(3, 0, 0, 3, 0, 0, 0)
    assert (found.people, found.agreement, found.target_met, found.warnings) == ((), (), None, ())
    assert found.cost == quality.Cost(0.0, None, None, None, None)


def test_progress_speed_and_cost_can_be_worked_out_by_hand(store: Store, team: Callable[..., Team]) -> None:
    t = team(store, 10, 2, wage=18.0, gold_share=0.0)
    for seconds in (10.0, 20.0, 90.0):
        t.label(0, seconds=seconds)
    t.label(1, seconds=40.0)
    store.skip(t.next(1).id, t.people[1].id, "no")
    t.next(0)
    found = quality.summary(store, t.project.id)
    assert found.progress == quality.Progress(
        num_items=10, num_done=4, num_labels=4, num_wanted=10, num_open=1, num_disputed=0, num_decided=0
    )
    people = _by_name(found)
    assert (people["person 0"].median_seconds, people["person 1"].median_seconds) == (20.0, 40.0)
    assert (people["person 1"].num_answers, people["person 1"].num_skipped) == (1, 1)
    # 160 s for 4 labels: 40 s a label, 6 more to come.
    assert found.cost.hours == pytest.approx(160 / 3600)
    assert found.cost.minutes_per_item == pytest.approx(40 / 60)
    assert found.cost.money == pytest.approx(0.8)
    assert found.cost.hours_to_come == pytest.approx(240 / 3600)
    assert found.cost.money_to_come == pytest.approx(1.2)


def test_agreement_is_the_one_of_the_exported_file(store: Store, team: Callable[..., Team]) -> None:
    t = team(store, 30, 3, overlap_share=1.0, overlap=2)
    for number in range(20):
        for person in range(3):
            t.label(person, ["first", "second", "tie"][(number * (person + 1)) % 3 if number % 4 else 0])
    found = quality.summary(store, t.project.id)
    (question,) = found.agreement
    located = ((f"g{i}", group) for i, group in enumerate(exporting.groups(store, t.project.id)))
    (from_file,) = report(of_groups(located), "file").questions
    assert question.num_shared == from_file.num_shared > 10
    assert set(question.overall) == {"percent", "fleiss", "alpha_nominal"} <= set(from_file.overall)
    for name in question.overall:
        coefficient = from_file.overall[name]
        assert question.overall[name].value == pytest.approx(coefficient.value, abs=1e-12)
        # Other codes for the same answers are drawn in another order.
        assert question.overall[name].low == pytest.approx(coefficient.low, abs=0.03)
    assert found.target_met is (question.overall[question.headline].value >= 0.6)


def test_cohens_kappa_of_two_people_by_hand(one: Store, team: Callable[..., Team]) -> None:
    t = team(one, 10, 2, overlap_share=1.0)
    for number in range(10):
        t.label(0, "first" if number < 5 else "second")
        t.label(1, "first" if number < 4 else "second")
    # They agree on 9 of 10; by chance 0.5 * 0.4 + 0.5 * 0.6 = 0.5; kappa = 0.4 / 0.5.
    (question,) = quality.summary(one, t.project.id).agreement
    assert question.overall["cohen"].value == pytest.approx(0.8)
    assert _by_name(quality.summary(one, t.project.id))["person 0"].agreement == pytest.approx(0.9)


def test_gold_and_test_scores_are_told_for_each_person(
    one: Store, team: Callable[..., Team], pairs: Callable[..., list[Group]]
) -> None:
    t = team(one, 0, 1, gold_share=1.0, pause_below=0.0)
    one.add_items(t.project.id, pairs(4, 100), [{"choice": "first"}] * 4)
    one.add_items(t.project.id, pairs(2, 200), [{"choice": "first"}] * 2, qualification=True)
    for choice in ("first", "first", "first", "second", "first", "first"):
        t.label(0, choice)
    (person,) = quality.summary(one, t.project.id).people
    assert (person.num_gold, person.gold_score, person.qualification_score) == (4, 0.75, 1.0)
    assert person.num_answers == 0


def test_of_stars_every_aspect_is_a_question_of_its_own(one: Store) -> None:
    project = one.create_project("stars", "stars", {"aspects": ["kind", "true"]}, overlap_share=1.0, gold_share=0)
    one.add_items(project.id, [Group(Prompt.of(f"q{i}"), (Response.of("a"), Response.of("b"))) for i in range(5)])
    for person in range(2):
        who, _ = one.add_person(f"p{person}")
        for number in range(5):
            task = one.next_task(project.id, who.id)
            assert task is not None
            scores = {"kind": [1 + number % 5, 5], "true": [1 + (number + person) % 5, None]}
            one.submit(task.id, who.id, {"scores": scores}, f"k{number}", 1)
    kind, true = quality.summary(one, project.id).agreement
    assert (kind.name, kind.num_shared, kind.overall["alpha_ordinal"].value) == ("kind", 10, 1.0)
    assert (true.name, true.num_shared) == ("true", 5)
    assert true.overall["alpha_ordinal"].value < 0.5


def test_of_a_kind_whose_answers_cannot_be_compared_nothing_is_said_of_agreement(one: Store) -> None:
    project = one.create_project("words", "critique", overlap_share=1.0)
    one.add_items(project.id, [Group(Prompt.of("q"), (Response.of("a"),))])
    for name in ("p0", "p1"):
        who, _ = one.add_person(name)
        task = one.next_task(project.id, who.id)
        assert task is not None
        one.submit(task.id, who.id, {"texts": [name]}, "k", 1)
    found = quality.summary(one, project.id)
    assert found.agreement == ()
    assert not any(math.isnan(p.median_seconds or 0) for p in found.people)
