from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from truing.studio import exporting, review
from truing.studio.errors import AnswerError
from truing.studio.store import Store

Team = Any


@pytest.fixture
def disputed(store: Store, team: Callable[..., Team]) -> Team:
    """Three items, each by two people: the same, a tie against a first, opposite."""
    t = team(store, 3, 2, overlap_share=1.0, overlap=2)
    for person, choices in enumerate([["first", "tie", "first"], ["first", "first", "second"]]):
        for choice in choices:
            t.label(person, choice)
    return t


def test_items_on_which_people_differ_wait_for_a_verdict(store: Store, disputed: Team) -> None:
    found = review.disagreements(store, disputed.project.id)
    assert [(u.item_id, u.dispute) for u in found] == [(2, 1.0), (3, 1.0)]
    assert [(s.person, s.value["choice"]) for s in found[1].said] == [("person 0", "first"), ("person 1", "second")]
    assert review.num_disagreements(store, disputed.project.id) == 2
    assert review.item(store, 1).dispute == 0.0


def test_a_verdict_takes_the_item_off_the_queue_and_replaces_who_differs(store: Store, disputed: Team) -> None:
    judge, _ = store.add_person("judge", "reviewer")
    made = review.decide(store, 3, judge.id, {"choice": "second", "comment": "clearly"}, "v1")
    assert made.is_new
    again = review.decide(store, 3, judge.id, {"choice": "second"}, "v1")
    assert (again.is_new, again.verdict_id) == (False, made.verdict_id)
    assert [u.item_id for u in review.disagreements(store, disputed.project.id)] == [2]
    decided = review.disagreements(store, disputed.project.id, decided=True)[1]
    assert decided.verdict is not None
    assert (decided.verdict.person, decided.verdict.value["choice"]) == ("judge", "second")
    last = list(exporting.groups(store, disputed.project.id))[2]
    assert [(f.annotator_id, f.ranks) for f in last.feedback] == [("person 1", (2, 1)), ("judge", (2, 1))]  # type: ignore[union-attr]
    raw = list(exporting.groups(store, disputed.project.id, adjudicated=False))[2]
    assert [f.annotator_id for f in raw.feedback] == ["person 0", "person 1"]


def test_a_verdict_can_be_changed_and_both_are_in_the_history(store: Store, disputed: Team) -> None:
    judge, _ = store.add_person("judge", "admin")
    review.decide(store, 3, judge.id, {"choice": "second"}, "v1")
    review.decide(store, 3, judge.id, {"choice": "tie"}, "v2")
    assert review.item(store, 3).verdict.value["choice"] == "tie"  # type: ignore[union-attr]
    event = store.history(3)[-1]
    assert (event.kind, event.person) == ("adjudicated", "judge")
    assert event.before is not None
    assert event.before["verdict"]["choice"] == "second"


def test_an_annotator_has_no_last_word(store: Store, disputed: Team) -> None:
    with pytest.raises(AnswerError, match="only a reviewer"):
        review.decide(store, 3, disputed.people[0].id, {"choice": "tie"}, "v1")
    with pytest.raises(AnswerError, match="no item 99"):
        review.item(store, 99)


def test_when_people_come_to_agree_the_dispute_is_over(store: Store, disputed: Team) -> None:
    done = store.recent(disputed.project.id, disputed.people[1].id)[0]
    assert done.answer_id is not None
    store.revise(done.answer_id, disputed.people[1].id, {"choice": "first"}, "edit")
    assert [u.item_id for u in review.disagreements(store, disputed.project.id)] == [2]


def test_a_sample_is_drawn_from_what_has_answers_and_no_verdict(store: Store, disputed: Team) -> None:
    judge, _ = store.add_person("judge", "reviewer")
    review.decide(store, 3, judge.id, {"choice": "second"}, "v1")
    assert sorted(u.item_id for u in review.sample(store, disputed.project.id, 10)) == [1, 2]
    assert len(review.sample(store, disputed.project.id, 1, seed=4)) == 1
