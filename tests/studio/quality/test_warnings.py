"""Who should be looked at, and who should not."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from truing.studio import quality
from truing.studio.store import Store

Team = Any


def _by_name(summary: quality.Summary) -> dict[str, quality.PersonQuality]:
    return {person.name: person for person in summary.people}


def _choose(t: Team, person: int, how: Callable[[Any], int], number: int) -> None:
    """Label `number` items; `how` gives the index of the response that is chosen."""
    for _ in range(number):
        task = t.next(person)
        t.say(person, task, ("first", "second")[how(task)])


def _parity(task: Any) -> int:
    return int(task.item_id * 7 % 10 < 5)


def test_who_always_takes_what_is_shown_first_is_seen(one: Store, team: Callable[..., Team]) -> None:
    t = team(one, 200, 2)
    _choose(t, 0, lambda task: task.order[0], 60)
    _choose(t, 1, _parity, 60)
    found = quality.summary(one, t.project.id)
    lazy = _by_name(found)["person 0"].first_shown
    assert lazy is not None
    assert (lazy.share.value, lazy.share.n, lazy.expected) == (1.0, 60, 0.5)
    assert {(w.what, w.person) for w in found.warnings} >= {("position", "person 0"), ("position", None)}
    assert ("position", "person 1") not in {(w.what, w.person) for w in found.warnings}


def test_length_that_explains_the_labels_is_seen(one: Store, team: Callable[..., Team]) -> None:
    t = team(one, 100, 2)  # the second response of each is the longer one
    _choose(t, 0, lambda task: 1, 50)
    _choose(t, 1, lambda task: 1, 40)
    found = quality.summary(one, t.project.id)
    assert found.longer is not None
    assert found.longer.share.value == 1.0
    assert [(w.what, w.person) for w in found.warnings] == [("length", None)]
    assert "the longest response is chosen in 100% of 90 choices" in found.warnings[0].text


def test_one_person_who_alone_follows_length_is_named(one: Store, team: Callable[..., Team]) -> None:
    t = team(one, 300, 3)
    _choose(t, 0, lambda task: 1, 60)
    _choose(t, 1, _parity, 60)
    _choose(t, 2, _parity, 60)
    assert ("length", "person 0") in {(w.what, w.person) for w in quality.summary(one, t.project.id).warnings}


def test_fair_work_gives_no_warning(one: Store, team: Callable[..., Team]) -> None:
    t = team(one, 300, 3, overlap_share=1.0, overlap=3)
    for person in range(3):
        _choose(t, person, _parity, 100)
    found = quality.summary(one, t.project.id)
    assert found.warnings == ()
    assert found.target_met is True


def test_one_person_who_made_most_of_the_labels_is_named(one: Store, team: Callable[..., Team]) -> None:
    t = team(one, 200, 2)
    _choose(t, 0, _parity, 80)
    _choose(t, 1, _parity, 10)
    (warning,) = quality.summary(one, t.project.id).warnings
    assert (warning.what, warning.person) == ("annotator", "person 0")
    assert "gave 89% of the 90 labels" in warning.text


def test_one_person_who_agrees_with_nobody_is_named(one: Store, team: Callable[..., Team]) -> None:
    t = team(one, 60, 4, overlap_share=1.0, overlap=4)
    for person in range(3):
        _choose(t, person, _parity, 60)
    _choose(t, 3, lambda task: 1 - _parity(task), 60)
    found = quality.summary(one, t.project.id)
    assert ("annotator", "person 3") in {(w.what, w.person) for w in found.warnings}
    assert not {w.person for w in found.warnings} & {"person 0", "person 1", "person 2"}
    assert _by_name(found)["person 3"].agreement == 0.0
    assert ("agreement", None) in {(w.what, w.person) for w in found.warnings}
    assert found.target_met is False


def test_who_always_says_the_same_is_named(one: Store, team: Callable[..., Team]) -> None:
    t = team(one, 300, 3)
    for _ in range(40):
        t.label(0, "tie")
    _choose(t, 1, _parity, 40)
    _choose(t, 2, _parity, 40)
    assert ("annotator", "person 0") in {(w.what, w.person) for w in quality.summary(one, t.project.id).warnings}
