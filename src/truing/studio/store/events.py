"""The history: every change is written down in the transaction that makes it."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, select

from truing.studio.store.records import Event
from truing.studio.store.tables import Events, People, table

__all__ = ["history", "latest", "record"]


_INSERT = insert(table(Events))


def record(
    conn: Connection,
    kind: str,
    at: datetime,
    *,
    person_id: int | None = None,
    project_id: int | None = None,
    item_id: int | None = None,
    before: dict[str, Any] | None = None,
    after: dict[str, Any] | None = None,
) -> None:
    """Write down a change. `kind` is its name in the past tense: answered, revised, undone, ..."""
    conn.execute(
        _INSERT,
        {
            "at": at,
            "person_id": person_id,
            "project_id": project_id,
            "item_id": item_id,
            "kind": kind,
            "before": before,
            "after": after,
        },
    )


_EVENT = (Events.id, Events.at, People.name, Events.kind, Events.item_id, Events.before, Events.after)


def history(conn: Connection, item_id: int) -> list[Event]:
    """All that happened to an item, oldest first."""
    rows = conn.execute(
        select(*_EVENT)
        .outerjoin(People, People.id == Events.person_id)
        .where(Events.item_id == item_id)
        .order_by(Events.id)
    )
    return [Event(*row) for row in rows]


def latest(conn: Connection, project_id: int | None, limit: int) -> list[Event]:
    """The last changes of a project (None: those of no project: people), newest first."""
    rows = conn.execute(
        select(*_EVENT)
        .outerjoin(People, People.id == Events.person_id)
        .where(Events.project_id == project_id)
        .order_by(Events.id.desc())
        .limit(limit)
    )
    return [Event(*row) for row in rows]
