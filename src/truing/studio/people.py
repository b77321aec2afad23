"""Who may come in, and as what.

A person has a personal link. Its token is 32 random bytes; the store keeps only their SHA-256, so that a copy of the
store lets nobody in.
"""

from __future__ import annotations

import hashlib
import secrets
from datetime import datetime

from sqlalchemy import Connection, insert, select, update

from truing.feedback.formats.cells import near
from truing.studio.errors import AnswerError
from truing.studio.store.events import record
from truing.studio.store.records import ROLES, Person
from truing.studio.store.tables import Members, People

__all__ = ["add", "by_token", "everybody", "get", "named", "new_token", "pause", "resume", "set_role"]

_PERSON = (People.id, People.name, People.role, People.paused, People.created_at)


def hashed(token: str) -> str:
    """What is kept of a token. It is as random as the hash is long, so it needs no salt."""
    return hashlib.sha256(token.encode("utf-8", "surrogatepass")).hexdigest()


def add(conn: Connection, name: str, role: str, at: datetime, by: int | None = None) -> tuple[Person, str]:
    """A new person and the token of their link, which nobody can ask for again."""
    _check_role(role)
    name = name.strip()
    if not name or len(name) > 100 or not name.isprintable():
        raise AnswerError(f"the name {name[:40]!r} cannot be shown", remedy="1 to 100 printable characters.")
    if conn.execute(select(People.id).where(People.name == name)).first() is not None:
        raise AnswerError(f"there is already somebody called {name!r}", remedy="Choose another name.")
    token = secrets.token_urlsafe(32)
    row = {"name": name, "role": role, "token_hash": hashed(token), "paused": None, "created_at": at}
    person_id = conn.execute(insert(People).values(row)).inserted_primary_key
    assert person_id is not None
    record(conn, "person_added", at, person_id=by, after={"name": name, "role": role})
    return Person(int(person_id[0]), name, role, None, at), token


def _check_role(role: str) -> None:
    if role not in ROLES:
        meant = near(role, ROLES)
        hint = f"Did you mean `{meant}`? " if meant else ""
        raise AnswerError(f"there is no role {role!r}", remedy=f"{hint}Roles: {', '.join(ROLES)}.")


def get(conn: Connection, person_id: int) -> Person:
    """The person of this number."""
    row = conn.execute(select(*_PERSON).where(People.id == person_id)).first()
    if row is None:
        raise AnswerError(f"there is no person {person_id}")
    return Person(*row)


def named(conn: Connection, name: str) -> Person | None:
    """The person of this name."""
    row = conn.execute(select(*_PERSON).where(People.name == name)).first()
    return None if row is None else Person(*row)


def by_token(conn: Connection, token: str) -> Person | None:
    """Whose link it is, or None. What is looked up is a hash: how long it takes says nothing about the token."""
    row = conn.execute(select(*_PERSON).where(People.token_hash == hashed(token))).first()
    return None if row is None else Person(*row)


def everybody(conn: Connection) -> list[Person]:
    """All people, in order of arrival."""
    return [Person(*row) for row in conn.execute(select(*_PERSON).order_by(People.id))]


def new_token(conn: Connection, person_id: int, at: datetime, by: int | None = None) -> str:
    """A new link; the old one lets nobody in any more."""
    person = get(conn, person_id)
    token = secrets.token_urlsafe(32)
    conn.execute(update(People).where(People.id == person_id).values(token_hash=hashed(token)))
    record(conn, "link_renewed", at, person_id=by, after={"name": person.name})
    return token


def set_role(conn: Connection, person_id: int, role: str, at: datetime, by: int | None = None) -> None:
    """Make somebody a reviewer, an admin or an annotator."""
    _check_role(role)
    person = get(conn, person_id)
    conn.execute(update(People).where(People.id == person_id).values(role=role))
    record(
        conn,
        "role_changed",
        at,
        person_id=by,
        before={"name": person.name, "role": person.role},
        after={"name": person.name, "role": role},
    )


def pause(conn: Connection, person_id: int, why: str, at: datetime, by: int | None = None) -> None:
    """No more tasks for this person, in any project, until `resume`."""
    person = get(conn, person_id)
    conn.execute(update(People).where(People.id == person_id).values(paused=why or "paused"))
    record(
        conn,
        "paused",
        at,
        person_id=by,
        before={"name": person.name, "paused": person.paused},
        after={"name": person.name, "paused": why or "paused"},
    )


def resume(conn: Connection, person_id: int, at: datetime, by: int | None = None) -> None:
    """Let somebody work again: whoever paused them, and whether or not they passed the test.

    Gold answers from before do not count any more, or the next one would pause them again.
    """
    person = get(conn, person_id)
    conn.execute(update(People).where(People.id == person_id).values(paused=None))
    conn.execute(
        update(Members)
        .where(Members.person_id == person_id, Members.state.in_(("paused", "failed")))
        .values(state="working", paused=None, gold_since=at)
    )
    record(
        conn,
        "resumed",
        at,
        person_id=by,
        before={"name": person.name, "paused": person.paused},
        after={"name": person.name, "paused": None},
    )
