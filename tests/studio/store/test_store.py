from __future__ import annotations

import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest
from sqlalchemy import func, select

from truing.errors import DataError, RegistryError
from truing.group import Group, Labels, Message, Prompt, Ranking, Response
from truing.studio.errors import AnswerError
from truing.studio.store import Store
from truing.studio.store.tables import Answers, Items, Tasks

Pairs = Callable[..., list[Group]]


def test_a_project_comes_back_as_it_was_made_with_its_settings_filled_in(store: Store) -> None:
    made = store.create_project("helpful", "stars", {"aspects": ["kind", "true"]}, "# Be fair", wage=15.0, seed=3)
    assert store.project(made.id) == made
    assert store.project_named("helpful") == made
    assert store.projects() == [made]
    assert made.settings == {"aspects": ["kind", "true"], "lowest": 1, "highest": 5, "comment": True}
    changed = store.update_project(made.id, guidelines="Be fairer", wage=None)
    assert store.project(made.id) == changed
    assert (changed.guidelines, changed.wage, changed.seed) == ("Be fairer", None, 3)
    event = store.latest_events(made.id, 1)[0]
    assert (event.kind, event.before) == ("project_changed", {"guidelines": "# Be fair", "wage": 15.0})


@pytest.mark.parametrize(
    ("given", "error", "match"),
    [
        ({"name": "helpful"}, AnswerError, "already a project"),
        ({"name": "a#b"}, AnswerError, "the name"),
        ({"kind": "rankin"}, RegistryError, "Did you mean `ranking`"),
        ({"settings": {"tye": True}}, AnswerError, "tye"),
        ({"overlap_share": 1.1}, AnswerError, "overlap_share"),
        ({"overlap": 0}, AnswerError, "overlap"),
        ({"gold_share": -0.1}, AnswerError, "gold_share"),
        ({"minutes_to_return": 0}, AnswerError, "minutes_to_return"),
        ({"wage": -1.0}, AnswerError, "wage"),
        ({"seed": 2**40}, AnswerError, "seed"),
        ({"guidelines": "\0"}, AnswerError, "NUL"),
    ],
)
def test_projects_that_cannot_be_are_refused(
    one: Store, given: dict[str, Any], error: type[Exception], match: str
) -> None:
    one.create_project("helpful", "pair")
    with pytest.raises(error, match=match):
        one.create_project(**{"name": "new", "kind": "pair", **given})
    assert len(one.projects()) == 1


def test_the_kind_of_a_project_cannot_be_changed(one: Store) -> None:
    project = one.create_project("helpful", "pair")
    for name in ("kind", "id", "nonsense"):
        with pytest.raises(AnswerError, match=name):
            one.update_project(project.id, **{name: "x"})


def test_the_same_prompt_and_responses_are_one_item_whatever_else_the_row_says(store: Store, pairs: Pairs) -> None:
    project = store.create_project("helpful", "pair")
    assert store.add_items(project.id, [*pairs(3), *pairs(2)]) == 3
    again = Group(pairs(1)[0].prompt, pairs(1)[0].responses, (Ranking.pair(),), {"source": "elsewhere"})
    turned = Group(again.prompt, again.responses[::-1])
    assert store.add_items(project.id, [again, turned, *pairs(5)]) == 2
    assert store.num_items(project.id) == {"work": 5}
    other = store.create_project("another", "pair")
    assert store.add_items(other.id, pairs(5)) == 5


def test_the_share_of_items_for_two_is_exact_over_a_hundred(one: Store, pairs: Pairs) -> None:
    project = one.create_project("helpful", "pair", overlap_share=0.1, overlap=3)
    one.add_items(project.id, pairs(200))
    with one.reading() as conn:
        wanted = conn.execute(select(Items.wanted, func.count()).group_by(Items.wanted).order_by(Items.wanted)).all()
    assert wanted == [(1, 180), (3, 20)]


def test_a_group_comes_back_whole_and_the_annotator_sees_no_earlier_feedback(store: Store) -> None:
    group = Group(
        Prompt((Message("system", "be brief"), Message("user", "why? \0 🦉"))),
        (Response.of(""), Response.of_steps(["a", "b"])),
        (Labels((True, None), "bob"),),
        {"category": "science", "reference": [1, {"x": None}]},
    )
    project = store.create_project("helpful", "pair", overlap_share=0, gold_share=0)
    store.add_items(project.id, [group])
    ann, _ = store.add_person("Ann")
    task = store.next_task(project.id, ann.id)
    assert task is not None
    assert store.item(task.item_id) == group
    assert task.group.feedback == ()
    assert task.group.responses == group.responses


@pytest.mark.parametrize(
    ("group", "gold", "match"),
    [
        (Group(Prompt.of("q"), (Response.of("a"),)), None, "item 2: it has 1 responses"),
        (
            Group(Prompt.of("q"), (Response.of("a"), Response.of("b")), (), {"x": {1, 2}}),
            None,
            "item 2: it is not JSON",
        ),
        (Group(Prompt.of("half \ud800"), (Response.of("a"), Response.of("b"))), None, "item 2: .*surrogate"),
        (Group(Prompt.of("q"), (Response.of("a"), Response.of("b"))), {"choice": "left"}, "item 2: its known answer"),
        (
            Group(Prompt.of("q"), (Response.of("a"), Response.of("b"))),
            {"choice": "tie", "reason": 1},
            "item 2: .*reason",
        ),
    ],
)
def test_items_that_cannot_be_judged_are_refused_with_their_place(
    one: Store, pairs: Pairs, group: Group, gold: Any, match: str
) -> None:
    project = one.create_project("helpful", "pair")
    with pytest.raises(DataError, match=match):
        one.add_items(project.id, [*pairs(1), group], [None, gold])
    assert one.num_items(project.id) == {}


def test_a_test_needs_known_answers_and_a_critique_has_none(one: Store, pairs: Pairs) -> None:
    project = one.create_project("helpful", "pair")
    with pytest.raises(DataError, match="no known answer"):
        one.add_items(project.id, pairs(1), qualification=True)
    words = one.create_project("words", "critique")
    with pytest.raises(DataError, match="no answers that can be known"):
        one.add_items(words.id, pairs(1), [{"texts": ["a", "b"]}])


def test_there_is_no_such_project(store: Store) -> None:
    ann, _ = store.add_person("Ann")
    for attempt in (
        lambda: store.project(9),
        lambda: store.next_task(9, ann.id),
        lambda: store.why_none(9, ann.id),
        lambda: store.item(9),
        lambda: store.add_items(9, []),
    ):
        with pytest.raises(AnswerError, match="there is no (project|item) 9"):
            attempt()


def test_eight_threads_label_a_hundred_items_and_none_is_lost_or_doubled(store: Store, pairs: Pairs) -> None:
    project = store.create_project("helpful", "pair", overlap_share=0.3, overlap=2, gold_share=0)
    store.add_items(project.id, pairs(100))
    people = [store.add_person(f"p{i}")[0] for i in range(8)]
    start = threading.Barrier(8)

    def work(person: int) -> list[int]:
        start.wait()
        acknowledged = []
        while (task := store.next_task(project.id, people[person].id)) is not None:
            saved = store.submit(task.id, people[person].id, {"choice": "first"}, f"{person}-{task.id}", 1)
            # A reply that got lost: sent again.
            assert store.submit(task.id, people[person].id, {"choice": "first"}, f"{person}-{task.id}", 1) == type(
                saved
            )(saved.answer_id, False)
            acknowledged.append(saved.answer_id)
        return acknowledged

    with ThreadPoolExecutor(8) as pool:
        acknowledged = [answer for each in pool.map(work, range(8)) for answer in each]
    with store.reading() as conn:
        stored = list(conn.execute(select(Answers.id)).scalars())
        missing = conn.execute(select(func.sum(Items.missing)).where(Items.missing > 0)).scalar()
    assert sorted(acknowledged) == sorted(stored)
    assert missing is None
    assert len(stored) == 130


def test_two_requests_of_one_person_at_once_open_one_task(store: Store, pairs: Pairs) -> None:
    project = store.create_project("helpful", "pair", gold_share=0)
    store.add_items(project.id, pairs(20))
    ann, _ = store.add_person("Ann")
    with ThreadPoolExecutor(6) as pool:
        tasks = list(pool.map(lambda _: store.next_task(project.id, ann.id), range(6)))
    assert len({task.id for task in tasks if task is not None}) == 1
    with store.reading() as conn:
        assert len(conn.execute(select(Tasks.id)).all()) == 1


def test_the_same_submission_from_many_threads_is_one_answer(store: Store, pairs: Pairs) -> None:
    project = store.create_project("helpful", "pair", gold_share=0)
    store.add_items(project.id, pairs(1))
    ann, _ = store.add_person("Ann")
    task = store.next_task(project.id, ann.id)
    assert task is not None
    with ThreadPoolExecutor(6) as pool:
        saved = list(pool.map(lambda _: store.submit(task.id, ann.id, {"choice": "tie"}, "k", 1), range(6)))
    assert len({s.answer_id for s in saved}) == 1
    assert sum(s.is_new for s in saved) == 1
    assert [e.kind for e in store.history(task.item_id)] == ["opened", "answered"]


def test_progress_counts_what_a_person_did_and_what_is_still_wanted(store: Store, pairs: Pairs) -> None:
    project = store.create_project("helpful", "pair", overlap_share=0, gold_share=0)
    store.add_items(project.id, pairs(5))
    ann, _ = store.add_person("Ann")
    assert store.progress(project.id, ann.id) == (0, 5)
    for number in range(2):
        task = store.next_task(project.id, ann.id)
        assert task is not None
        store.submit(task.id, ann.id, {"choice": "tie"}, f"{number}", 1)
    store.next_task(project.id, ann.id)
    assert store.progress(project.id, ann.id) == (2, 3)
