from __future__ import annotations

import tempfile
from collections import Counter
from collections.abc import Callable
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import select

from truing.group import Group
from truing.studio import assignment
from truing.studio.assignment import drawn, shown_order
from truing.studio.store import Store
from truing.studio.store.tables import Answers, Items, Tasks

Team = Any
Pairs = Callable[..., list[Group]]

# ── what the seed decides ────────────────────────────────────────────────────────────────────────────────────────────


@pytest.mark.parametrize("share", [0.0, 0.1, 0.29, 1 / 3, 0.5, 1.0])
def test_in_whole_blocks_of_a_hundred_the_share_is_exact(share: float) -> None:
    for blocks in (1, 3, 10):
        assert sum(drawn("seed", share, n) for n in range(100 * blocks)) == int(100 * blocks * share + 1e-9)


def test_drawn_places_differ_by_seed_and_have_no_period() -> None:
    one, other = ([n for n in range(1000) if drawn(seed, 0.1, n)] for seed in ("a", "b"))
    assert one != other
    assert len({b - a for a, b in pairwise(one)}) > 5


def test_the_order_shown_is_a_permutation_and_halves_are_swapped_over_many_items() -> None:
    orders = [shown_order(0, item, 1, 2) for item in range(2000)]
    assert {tuple(o) for o in orders} == {(0, 1), (1, 0)}
    assert 900 < sum(o == [1, 0] for o in orders) < 1100
    assert sorted(shown_order(5, 1, 2, 7)) == list(range(7))
    assert shown_order(5, 1, 2, 7) == shown_order(5, 1, 2, 7)


# ── who gets what ────────────────────────────────────────────────────────────────────────────────────────────────────


def test_every_item_goes_to_one_person_without_overlap(store: Store, team: Callable[..., Team]) -> None:
    t = team(store, 5, 2)
    given_to = [t.label(person) for person in (0, 1, 0, 1, 0)]
    assert [task.group.prompt.text for task in given_to] == [f"question {i}" for i in range(5)]
    assert t.next(0) is None
    assert t.next(1) is None
    assert store.why_none(t.project.id, t.people[0].id) == "done"


def test_with_overlap_of_all_everybody_gets_every_item_once(store: Store, team: Callable[..., Team]) -> None:
    t = team(store, 4, 3, overlap_share=1.0, overlap=2)
    got = {person: [] for person in range(3)}
    for person in (0, 0, 0, 0, 1, 1, 2, 2, 2, 1, 2, 0):
        task = t.label(person)
        if task is not None:
            got[person].append(task.item_id)
    counts = Counter(item for items in got.values() for item in items)
    assert counts == {1: 2, 2: 2, 3: 2, 4: 2}
    assert all(len(set(items)) == len(items) for items in got.values())


def test_the_open_task_is_given_again_until_it_is_answered(store: Store, team: Callable[..., Team]) -> None:
    t = team(store, 3, 1)
    first = t.next(0)
    store.save_draft(first.id, t.people[0].id, {"choice": "tie"})
    again = t.next(0)
    assert again.id == first.id
    assert again.order == first.order
    assert again.draft == {"choice": "tie"}


def test_an_abandoned_task_goes_to_somebody_else_after_its_minutes(
    store: Store, clock: Any, team: Callable[..., Team]
) -> None:
    t = team(store, 1, 2, minutes_to_return=30)
    task = t.next(0)
    clock.wait(minutes=29)
    assert t.next(1) is None
    assert store.why_none(t.project.id, t.people[1].id) == "waiting"
    clock.wait(minutes=2)
    other = t.next(1)
    assert other is not None
    assert other.item_id == task.item_id
    assert other.id != task.id


def test_a_draft_keeps_a_task_from_being_abandoned(store: Store, clock: Any, team: Callable[..., Team]) -> None:
    t = team(store, 1, 2, minutes_to_return=30)
    task = t.next(0)
    clock.wait(minutes=29)
    store.save_draft(task.id, t.people[0].id, {"choice": "tie"})
    clock.wait(minutes=29)
    assert t.next(1) is None


def test_who_comes_back_in_time_finds_the_task_and_the_draft_again(
    store: Store, clock: Any, team: Callable[..., Team]
) -> None:
    t = team(store, 2, 2, minutes_to_return=30)
    task = t.next(0)
    store.save_draft(task.id, t.people[0].id, {"choice": "tie"})
    assert t.next(1).item_id != task.item_id
    clock.wait(minutes=300)
    store.pause(t.people[1].id, "holiday")  # what they held goes back; what person 0 held is free too
    again = t.next(0)
    assert again.id == task.id
    assert again.draft == {"choice": "tie"}


def test_an_answer_that_comes_after_the_task_went_to_another_is_not_lost(
    store: Store, clock: Any, team: Callable[..., Team]
) -> None:
    t = team(store, 1, 2, minutes_to_return=30)
    late = t.next(0)
    clock.wait(minutes=31)
    t.label(1)
    t.say(0, late, "second")
    with store.reading() as conn:
        assert conn.execute(select(Items.num_answers, Items.missing)).one() == (2, -1)


def test_a_skipped_item_goes_to_somebody_else_and_never_back(store: Store, team: Callable[..., Team]) -> None:
    t = team(store, 2, 2)
    task = t.next(0)
    store.skip(task.id, t.people[0].id, "no idea")
    assert t.next(0).item_id != task.item_id
    assert t.next(1).item_id == task.item_id
    t.label(0)
    assert t.next(0) is None


def test_a_seat_freed_behind_somebody_is_found_by_them(store: Store, team: Callable[..., Team]) -> None:
    t = team(store, 3, 2)
    held = t.next(0)
    assert [t.label(1).item_id, t.label(1).item_id] == [2, 3]
    assert t.next(1) is None
    store.skip(held.id, t.people[0].id)
    assert t.next(1).item_id == held.item_id


def test_a_paused_person_gets_nothing_and_their_task_goes_back(store: Store, team: Callable[..., Team]) -> None:
    t = team(store, 1, 2)
    t.next(0)
    store.pause(t.people[0].id, "too fast")
    assert t.next(0) is None
    assert store.why_none(t.project.id, t.people[0].id) == "paused"
    assert t.label(1) is not None
    store.resume(t.people[0].id)
    assert store.why_none(t.project.id, t.people[0].id) == "done"


# ── qualification and gold ───────────────────────────────────────────────────────────────────────────────────────────


def _test_items(store: Store, t: Team, pairs: Pairs, number: int, *, qualification: bool, start: int = 1000) -> None:
    known = [{"choice": "first", "reason": f"because {i}"} for i in range(number)]
    store.add_items(t.project.id, pairs(number, start), known, qualification)


def test_the_test_comes_first_and_who_fails_it_gets_no_work(
    store: Store, team: Callable[..., Team], pairs: Pairs
) -> None:
    t = team(store, 3, 2, qualification_pass=0.5)
    _test_items(store, t, pairs, 2, qualification=True)
    said = {0: ["first", "second"], 1: ["second", "tie"]}
    for person, choices in said.items():
        for choice in choices:
            task = t.next(person)
            assert task.is_qualification
            t.say(person, task, choice)
    assert [store.member_state(t.project.id, p.id) for p in t.people] == ["working", "failed"]
    assert not t.next(0).is_qualification
    assert t.next(1) is None
    assert store.why_none(t.project.id, t.people[1].id) == "not_qualified"
    store.resume(t.people[1].id)  # a person decides otherwise
    assert t.next(1) is not None


def test_after_a_test_item_the_solution_is_told_and_cannot_be_used(
    store: Store, team: Callable[..., Team], pairs: Pairs
) -> None:
    t = team(store, 1, 1)
    _test_items(store, t, pairs, 1, qualification=True)
    task, me = t.next(0), t.people[0].id
    saved = store.submit(task.id, me, {"choice": "second"}, "k1", 3)
    assert saved.feedback is not None
    assert (saved.feedback.score, saved.feedback.reason) == (0.0, "because 0")
    assert saved.feedback.gold["choice"] == "first"
    assert store.submit(task.id, me, {"choice": "second"}, "k1", 3) == type(saved)(
        saved.answer_id, False, feedback=saved.feedback
    )
    for attempt in (
        lambda: store.submit(task.id, me, {"choice": "first"}, "k2", 3),
        lambda: store.revise(saved.answer_id, me, {"choice": "first"}, "k3"),
    ):
        with pytest.raises(Exception, match="solution was shown"):
            attempt()
    assert store.undo(me, t.project.id) is None


def test_a_test_item_cannot_be_skipped(store: Store, team: Callable[..., Team], pairs: Pairs) -> None:
    t = team(store, 1, 1)
    _test_items(store, t, pairs, 1, qualification=True)
    with pytest.raises(Exception, match="cannot be skipped"):
        store.skip(t.next(0).id, t.people[0].id)


def test_reviewers_and_admins_need_no_test(store: Store, team: Callable[..., Team], pairs: Pairs) -> None:
    t = team(store, 1, 0)
    _test_items(store, t, pairs, 1, qualification=True)
    reviewer, _ = store.add_person("rev", "reviewer")
    task = store.next_task(t.project.id, reviewer.id)
    assert task is not None
    assert not task.is_qualification


def test_gold_is_mixed_in_at_its_share_and_looks_like_any_other_task(
    store: Store, team: Callable[..., Team], pairs: Pairs
) -> None:
    t = team(store, 100, 1, gold_share=0.2)
    _test_items(store, t, pairs, 30, qualification=False)
    tasks = [t.label(0) for _ in range(100)]
    with store.reading() as conn:
        roles = Counter(conn.execute(select(Tasks.role)).scalars())
    assert roles == {"work": 80, "gold": 20}
    assert all(not task.is_qualification for task in tasks)
    assert "gold" not in repr(tasks)
    assert len({task.item_id for task in tasks}) == 100


def test_who_falls_below_on_gold_is_paused_and_can_be_resumed(
    store: Store, team: Callable[..., Team], pairs: Pairs
) -> None:
    t = team(store, 50, 1, gold_share=1.0, pause_below=0.6)
    _test_items(store, t, pairs, 12, qualification=False)
    for choice in ("first", "second", "first", "second"):
        t.label(0, choice)
    assert store.member_state(t.project.id, t.people[0].id) == "working"  # of fewer than five there is no score
    t.label(0, "second")
    assert store.member_state(t.project.id, t.people[0].id) == "paused"
    assert t.next(0) is None
    store.resume(t.people[0].id)
    for _ in range(4):
        t.label(0, "second")
    assert store.member_state(t.project.id, t.people[0].id) == "working"  # what was before does not count any more
    t.label(0, "second")
    assert store.member_state(t.project.id, t.people[0].id) == "paused"


def test_when_gold_runs_out_work_goes_on(store: Store, team: Callable[..., Team], pairs: Pairs) -> None:
    t = team(store, 5, 1, gold_share=1.0)
    _test_items(store, t, pairs, 2, qualification=False)
    assert sum(t.label(0) is not None for _ in range(10)) == 7


def test_who_becomes_a_reviewer_in_the_middle_of_the_test_need_not_finish_it(
    one: Store, team: Callable[..., Team], pairs: Pairs
) -> None:
    t = team(one, 1, 1)
    _test_items(one, t, pairs, 2, qualification=True)
    assert t.label(0).is_qualification
    one.set_role(t.people[0].id, "reviewer")
    assert not t.next(0).is_qualification


def test_what_is_asked_for_every_task_is_one_look_into_an_index(one: Store) -> None:
    asked = {
        "ix_items_free": assignment._FREE_ITEM,
        "ix_items_known": assignment._KNOWN_ITEM,
        "ix_tasks_person": assignment._OPEN,
        "ix_tasks_open": assignment._ABANDONED,
    }
    with one.reading() as conn:
        for index, query in asked.items():
            compiled = query.compile(conn.engine)
            given = [1 for _ in compiled.positiontup or ()]
            rows = conn.exec_driver_sql(f"EXPLAIN QUERY PLAN {compiled}", tuple(given)).all()
            steps = " / ".join(row[3] for row in rows)
            assert index in steps
            assert "SCAN" not in steps.replace("SCAN CONSTANT", "")
            # The open tasks of a person are a handful; all others must come in order, and be one.
            assert index == "ix_tasks_person" or "TEMP B-TREE" not in steps


# ── whatever people do ───────────────────────────────────────────────────────────────────────────────────────────────

DEEDS = st.lists(
    st.tuples(
        st.integers(0, 3),
        st.sampled_from(["label", "label", "label", "open", "skip", "undo", "wait", "late", "pause", "resume", "add"]),
    ),
    max_size=60,
)


@given(DEEDS, st.sampled_from([0.0, 0.3, 1.0]), st.integers(1, 3), st.sampled_from([0.0, 0.5]))
@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_whatever_people_do_seats_are_counted_right_and_work_can_be_finished(
    team: Callable[..., Team],
    pairs: Pairs,
    clock: Any,
    deeds: list[tuple[int, str]],
    share: float,
    overlap: int,
    gold_share: float,
) -> None:
    with tempfile.TemporaryDirectory() as folder, Store.open(f"{folder}/studio.db", clock=clock) as store:
        t = team(store, 6, 4, overlap_share=share, overlap=overlap, gold_share=gold_share, pause_below=0.0)
        _test_items(store, t, pairs, 3, qualification=False)
        seen: list[Any] = []
        added = 0
        for person, deed in deeds:
            me = t.people[person].id
            if deed == "wait":
                clock.wait(minutes=20)
            elif deed == "pause":
                store.pause(me, "break")
            elif deed == "resume":
                store.resume(me)
            elif deed == "undo":
                store.undo(me, t.project.id)
            elif deed == "add":
                added += 1
                store.add_items(t.project.id, pairs(1, 100 + added))
            elif deed == "late" and seen:
                who, task = seen[person % len(seen)]
                if store.person(t.people[who].id).paused is None:
                    t.say(who, task, "tie")
            elif (task := t.next(person)) is not None:
                seen.append((person, task))
                if deed == "label":
                    t.say(person, task)
                elif deed == "skip":
                    store.skip(task.id, me)
            _consistent(store)
        for person in range(4):
            store.resume(t.people[person].id)
            for _ in range(200):
                if t.label(person) is None:
                    break
            else:
                raise AssertionError("no end")
        _consistent(store)
        with store.reading() as conn:
            # What is still free was met by everybody: there is nobody left to ask.
            for item in conn.execute(select(Items.id).where(Items.missing > 0, Items.role == "work")).scalars():
                assert len(conn.execute(select(Tasks.id).where(Tasks.item_id == item)).all()) == 4


def _consistent(store: Store) -> None:
    with store.reading() as conn:
        tasks = conn.execute(select(Tasks.item_id, Tasks.state, Tasks.person_id)).all()
        standing = Counter(conn.execute(select(Answers.item_id).where(Answers.active)).scalars())
        items = conn.execute(select(Items.id, Items.role, Items.wanted, Items.missing, Items.num_answers)).all()
    assert len({(task.item_id, task.person_id) for task in tasks}) == len(tasks)
    answered = Counter(task.item_id for task in tasks if task.state == "answered")
    opened = Counter(task.item_id for task in tasks if task.state == "open")
    for item in items:
        assert item.num_answers == standing[item.id] == answered[item.id]
        if item.role == "work":
            assert item.missing == item.wanted - answered[item.id] - opened[item.id]


def test_tasks_that_are_on_the_screen_are_not_given_again_and_no_more_than_four_are_open(
    store: Store, team: Callable[..., Team]
) -> None:
    t = team(store, 9, 1)
    me = t.people[0].id
    shown = [t.next(0)]
    while (ahead := store.next_task(t.project.id, me, besides=[task.id for task in shown])) is not None:
        shown.append(ahead)
    assert [task.item_id for task in shown] == [1, 2, 3, 4]
    assert t.next(0).id == shown[0].id
    t.say(0, shown[0])
    assert t.next(0).id == shown[1].id
