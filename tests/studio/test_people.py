from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from truing.studio.errors import AnswerError
from truing.studio.people import hashed
from truing.studio.store import Store


def test_a_link_lets_its_person_in_and_a_new_one_ends_it(store: Store) -> None:
    ann, token = store.add_person("Ann", "reviewer")
    assert store.person_by_token(token) == ann
    assert store.person_by_token(token + "x") is None
    assert store.person_by_token("") is None
    assert store.person_by_token("half \ud800") is None
    renewed = store.new_token(ann.id)
    assert store.person_by_token(token) is None
    assert store.person_by_token(renewed) == ann


def test_the_token_is_nowhere_in_the_files(one: Store, tmp_path: Path) -> None:
    _, token = one.add_person("Ann")
    one.close()
    assert all(token.encode() not in file.read_bytes() for file in tmp_path.iterdir())
    with sqlite3.connect(tmp_path / "studio.db") as raw:
        assert raw.execute("SELECT token_hash FROM people").fetchall() == [(hashed(token),)]
    raw.close()


def test_tokens_are_long_and_never_the_same(one: Store) -> None:
    tokens = [one.add_person(f"p{i}")[1] for i in range(20)]
    assert len(set(tokens)) == 20
    assert all(len(token) >= 43 for token in tokens)


def test_the_hash_is_sha256() -> None:
    assert hashed("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad"


@pytest.mark.parametrize(
    ("name", "role", "match"),
    [
        ("", "admin", "cannot be shown"),
        ("a\nb", "admin", "cannot be shown"),
        ("x" * 101, "admin", "cannot be shown"),
        ("Ann", "admin", "already somebody"),
        ("Bob", "reviwer", "Did you mean `reviewer`"),
    ],
)
def test_names_and_roles_that_cannot_be_are_refused(one: Store, name: str, role: str, match: str) -> None:
    one.add_person("Ann")
    with pytest.raises(AnswerError, match=match):
        one.add_person(name, role)
    assert [p.name for p in one.people()] == ["Ann"]


def test_what_happens_to_people_is_written_down(store: Store, team: Callable[..., Any]) -> None:
    boss, _ = store.add_person("Boss", "admin")
    ann, _ = store.add_person("Ann", by=boss.id)
    store.pause(ann.id, "too fast", by=boss.id)
    assert store.person(ann.id).paused == "too fast"
    store.resume(ann.id, by=boss.id)
    assert store.person(ann.id).paused is None
    store.set_role(ann.id, "reviewer", by=boss.id)
    assert store.person_named("Ann") == store.person(ann.id)
    assert [(e.kind, e.person) for e in store.latest_events(None, 4)] == [
        ("role_changed", "Boss"),
        ("resumed", "Boss"),
        ("paused", "Boss"),
        ("person_added", "Boss"),
    ]


def test_nobody_by_that_number(one: Store) -> None:
    for attempt in (one.person, one.new_token, one.resume):
        with pytest.raises(AnswerError, match="no person 7"):
            attempt(7)
