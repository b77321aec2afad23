from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest

from truing.studio.errors import AnswerError
from truing.studio.store import Store

Team = Any


def _answers(store: Store, project_id: int) -> list[tuple[str, str]]:
    """(annotator, choice) of every label that would be exported."""
    from truing.studio import exporting

    names = {(1, 2): "first", (2, 1): "second", (1, 1): "tie"}
    return [
        (str(said.annotator_id), names[said.ranks])  # type: ignore[union-attr, index]
        for group in exporting.groups(store, project_id)
        for said in group.feedback
    ]


def test_the_same_key_twice_is_the_same_answer_and_never_two(store: Store, team: Callable[..., Team]) -> None:
    t = team(store, 2, 1)
    task, me = t.next(0), t.people[0].id
    first = store.submit(task.id, me, {"choice": "first"}, "k", 5)
    again = store.submit(task.id, me, {"choice": "second"}, "k", 5)
    assert (first.is_new, again.is_new) == (True, False)
    assert first.answer_id == again.answer_id
    assert _answers(store, t.project.id) == [("person 0", "first")]


def test_another_key_revises_the_answer_and_the_history_tells_both(store: Store, team: Callable[..., Team]) -> None:
    t = team(store, 1, 1)
    task, me = t.next(0), t.people[0].id
    store.submit(task.id, me, {"choice": "first"}, "k1", 5)
    second = store.submit(task.id, me, {"choice": "tie", "comment": "hm"}, "k2", 5)
    assert (second.is_new, second.is_revised) == (False, True)
    assert _answers(store, t.project.id) == [("person 0", "tie")]
    events = store.history(task.item_id)
    assert [(e.kind, e.person) for e in events] == [
        ("opened", "person 0"),
        ("answered", "person 0"),
        ("revised", "person 0"),
    ]
    assert events[2].before is not None
    assert events[2].after is not None
    assert (events[2].before["answer"]["choice"], events[2].after["answer"]["choice"]) == ("first", "tie")


def test_a_key_of_another_item_is_refused(store: Store, team: Callable[..., Team]) -> None:
    t = team(store, 2, 1)
    me = t.people[0].id
    store.submit(t.next(0).id, me, {"choice": "first"}, "k", 5)
    with pytest.raises(AnswerError, match="belongs to the answer to another item"):
        store.submit(t.next(0).id, me, {"choice": "first"}, "k", 5)


def test_a_task_of_somebody_else_cannot_be_seen_or_answered(store: Store, team: Callable[..., Team]) -> None:
    t = team(store, 1, 2)
    task, other = t.next(0), t.people[1].id
    for attempt in (
        lambda: store.task(task.id, other),
        lambda: store.submit(task.id, other, {"choice": "first"}, "k", 1),
        lambda: store.save_draft(task.id, other, {}),
        lambda: store.skip(task.id, other),
        lambda: store.submit(10**6, other, {"choice": "first"}, "k", 1),
    ):
        with pytest.raises(AnswerError, match="not yours"):
            attempt()


@pytest.mark.parametrize(
    ("answer", "key", "seconds", "match"),
    [
        ({"choice": "third"}, "k", 1.0, "choice"),
        ({"choice": "first", "extra": 1}, "k", 1.0, "extra"),
        ({"choice": "first"}, "", 1.0, "the key"),
        ({"choice": "first"}, "k" * 201, 1.0, "the key"),
        ({"choice": "first"}, "k", math.nan, "seconds"),
        ({"choice": "first"}, "k", -1.0, "seconds"),
    ],
)
def test_what_cannot_be_meant_is_refused_and_changes_nothing(
    one: Store, team: Callable[..., Team], answer: dict[str, Any], key: str, seconds: float, match: str
) -> None:
    t = team(one, 1, 1)
    task, me = t.next(0), t.people[0].id
    with pytest.raises(AnswerError, match=match):
        one.submit(task.id, me, answer, key, seconds)
    assert _answers(one, t.project.id) == []
    assert one.task(task.id, me).state == "open"


def test_undo_brings_the_answer_back_as_a_draft_and_takes_it_out_of_the_labels(
    store: Store, team: Callable[..., Team]
) -> None:
    t = team(store, 3, 1)
    me = t.people[0].id
    one, two = t.label(0, "first"), t.label(0, "second")
    three = t.next(0)
    back = store.undo(me, t.project.id)
    assert back is not None
    assert (back.id, back.draft) == (two.id, {"choice": "second", "strength": None, "comment": None})
    assert _answers(store, t.project.id) == [("person 0", "first")]
    assert t.next(0).id == two.id
    further = store.undo(me, t.project.id)
    assert further is not None
    assert further.id == one.id
    assert store.undo(me, t.project.id) is None
    t.say(0, one, "tie")
    t.say(0, two, "tie")
    assert t.next(0).id == three.id
    assert _answers(store, t.project.id) == [("person 0", "tie"), ("person 0", "tie")]
    assert [e.kind for e in store.history(one.item_id)] == ["opened", "answered", "undone", "answered"]


def test_a_lost_reply_sent_again_after_an_undo_does_not_bring_the_answer_back(
    one: Store, team: Callable[..., Team]
) -> None:
    t = team(one, 1, 1)
    task, me = t.next(0), t.people[0].id
    one.submit(task.id, me, {"choice": "first"}, "k", 1)
    one.undo(me, t.project.id)
    assert not one.submit(task.id, me, {"choice": "first"}, "k", 1).is_new
    assert _answers(one, t.project.id) == []


def test_undo_brings_a_skipped_item_back(store: Store, team: Callable[..., Team]) -> None:
    t = team(store, 1, 1)
    task, me = t.next(0), t.people[0].id
    store.skip(task.id, me, "dull")
    store.skip(task.id, me, "dull")  # twice is once
    done = store.recent(t.project.id, me)
    assert [(d.state, d.skip_reason, d.can_edit) for d in done] == [("skipped", "dull", False)]
    back = store.undo(me, t.project.id)
    assert back is not None
    assert (back.id, back.state) == (task.id, "open")


def test_one_goes_back_and_edits_an_answer(store: Store, team: Callable[..., Team]) -> None:
    t = team(store, 2, 2)
    me, other = t.people[0].id, t.people[1].id
    t.label(0, "first")
    t.label(0, "second", seconds=7.0)
    done = store.recent(t.project.id, me)
    assert [(d.value["choice"], d.seconds, d.prompt) for d in done if d.value] == [
        ("second", 7.0, "question 1"),
        ("first", 10.0, "question 0"),
    ]
    answer_id = done[1].answer_id
    assert answer_id is not None
    store.revise(answer_id, me, {"choice": "tie"}, "edit")
    assert store.revise(answer_id, me, {"choice": "tie"}, "edit").answer_id == answer_id
    assert _answers(store, t.project.id) == [("person 0", "tie"), ("person 0", "second")]
    with pytest.raises(AnswerError, match="not yours"):
        store.revise(answer_id, other, {"choice": "first"}, "mine")


def test_a_draft_that_comes_after_the_answer_does_no_harm(store: Store, team: Callable[..., Team]) -> None:
    t = team(store, 1, 1)
    task, me = t.next(0), t.people[0].id
    assert store.save_draft(task.id, me, {"choice": "tie"})
    assert store.task(task.id, me).draft == {"choice": "tie"}
    t.say(0, task)
    assert not store.save_draft(task.id, me, {"choice": "second"})
    found = store.task(task.id, me)
    assert (found.draft, found.state, found.answer) == (
        None,
        "answered",
        {"choice": "first", "strength": None, "comment": None},
    )


def test_a_draft_that_is_too_large_or_no_json_is_refused(one: Store, team: Callable[..., Team]) -> None:
    t = team(one, 1, 1)
    task, me = t.next(0), t.people[0].id
    with pytest.raises(AnswerError, match="characters"):
        one.save_draft(task.id, me, {"text": "x" * 1_000_001})
    with pytest.raises(AnswerError, match="no JSON"):
        one.save_draft(task.id, me, {"number": math.inf})


def test_a_paused_person_cannot_answer_what_is_on_their_screen(store: Store, team: Callable[..., Team]) -> None:
    t = team(store, 1, 1)
    task, me = t.next(0), t.people[0].id
    store.pause(me, "")
    with pytest.raises(AnswerError, match="paused"):
        store.submit(task.id, me, {"choice": "first"}, "k", 1)


def test_text_that_data_bases_stumble_over_comes_back_as_it_was(store: Store, team: Callable[..., Team]) -> None:
    t = team(store, 1, 1)
    task, me = t.next(0), t.people[0].id
    odd = "nul \0, half \ud800, rtl \u202e, quote ' \" ; DROP TABLE answers; 🦉 %s :name"
    store.save_draft(task.id, me, {"comment": odd})
    assert store.task(task.id, me).draft == {"comment": odd}
    store.submit(task.id, me, {"choice": "first", "comment": "nul \0 🦉 '; --"}, "k", 1)
    assert store.recent(t.project.id, me)[0].value == {
        "choice": "first",
        "strength": None,
        "comment": "nul \0 🦉 '; --",
    }
