"""What is stored. Rows are never deleted; what changes leaves an event.

    projects ──< items ──< tasks ──1 answers          people
        └──────< members >──────────────────────────────┘
    items ──1 verdicts      keys (idempotent submissions)      events (who, when, what before, what after)

An item's `missing` counts the seats still free: `wanted` − answers that stand − tasks that are open. It is kept with
every change, so that finding the next item is one look into an index however many items there are.
"""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar, cast

from sqlalchemy import Double, ForeignKey, Index, MetaData, String, Table, Text, UniqueConstraint, text
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from sqlalchemy.types import TypeEngine

from truing.studio.store.columns import Instant, Json

__all__ = ["Answers", "Base", "Events", "Items", "Keys", "Members", "People", "Projects", "Tasks", "Verdicts", "table"]


class Base(DeclarativeBase):
    """Names for every constraint, so that a migration can name it too."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map: ClassVar[dict[Any, TypeEngine[Any] | type[TypeEngine[Any]]]] = {
        datetime: Instant,
        float: Double,
        dict[str, Any]: Json,
        list[int]: Json,
    }


class Projects(Base):
    """One question asked about many items."""

    __tablename__ = "projects"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(200), unique=True)
    kind: Mapped[str] = mapped_column(String(50))
    settings: Mapped[dict[str, Any]]
    guidelines: Mapped[str] = mapped_column(Text)
    overlap_share: Mapped[float]
    overlap: Mapped[int]
    gold_share: Mapped[float]
    pause_below: Mapped[float]
    qualification_pass: Mapped[float]
    minutes_to_return: Mapped[float]
    wage: Mapped[float | None]
    seed: Mapped[int]
    created_at: Mapped[datetime]


class People(Base):
    """Who may come in. Of the link only the hash of its token is kept."""

    __tablename__ = "people"
    id: Mapped[int] = mapped_column(primary_key=True)
    name: Mapped[str] = mapped_column(String(200), unique=True)
    role: Mapped[str] = mapped_column(String(20))
    token_hash: Mapped[str] = mapped_column(String(64), unique=True)
    paused: Mapped[str | None] = mapped_column(Text)
    created_at: Mapped[datetime]


class Members(Base):
    """A person in a project. `state`: qualifying, working, failed, paused.

    Below the position `passed` there is no item left for this person. `gold_since`: older gold answers do not count.
    """

    __tablename__ = "members"
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"), primary_key=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("people.id"), primary_key=True)
    state: Mapped[str] = mapped_column(String(20))
    paused: Mapped[str | None] = mapped_column(Text)
    num_given: Mapped[int]
    passed: Mapped[int]
    gold_since: Mapped[datetime]


class Items(Base):
    """A group to be judged. `role`: work, gold, qualification. `dispute`: how far the answers differ, 0..1."""

    __tablename__ = "items"
    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"))
    position: Mapped[int]
    role: Mapped[str] = mapped_column(String(20))
    hash: Mapped[str] = mapped_column(String(64))
    num_responses: Mapped[int]
    lengths: Mapped[list[int]]
    category: Mapped[str | None] = mapped_column(Text)
    wanted: Mapped[int]
    missing: Mapped[int]
    num_answers: Mapped[int]
    dispute: Mapped[float | None]
    # What is long comes last: SQLite reads a row from its beginning.
    gold: Mapped[dict[str, Any] | None]
    group: Mapped[dict[str, Any]]
    __table_args__ = (
        UniqueConstraint("project_id", "hash"),
        UniqueConstraint("project_id", "position"),
        Index(
            "ix_items_free",
            "project_id",
            "position",
            "missing",
            sqlite_where=text("missing > 0 AND role = 'work'"),
            postgresql_where=text("missing > 0 AND role = 'work'"),
        ),
        Index(
            "ix_items_known",
            "project_id",
            "role",
            "position",
            sqlite_where=text("role <> 'work'"),
            postgresql_where=text("role <> 'work'"),
        ),
        Index(
            "ix_items_disputed",
            "project_id",
            "dispute",
            sqlite_where=text("dispute > 0"),
            postgresql_where=text("dispute > 0"),
        ),
    )


class Tasks(Base):
    """An item in somebody's hands. `state`: open, answered, skipped, returned (given back unanswered).

    `order[place]` is the response shown there. One person meets an item once: the data base sees to it.
    """

    __tablename__ = "tasks"
    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"))
    item_id: Mapped[int] = mapped_column(ForeignKey("items.id"))
    person_id: Mapped[int] = mapped_column(ForeignKey("people.id"))
    role: Mapped[str] = mapped_column(String(20))
    order: Mapped[list[int]]
    state: Mapped[str] = mapped_column(String(20))
    opened_at: Mapped[datetime]
    touched_at: Mapped[datetime]
    draft: Mapped[dict[str, Any] | None]
    skip_reason: Mapped[str | None] = mapped_column(Text)
    __table_args__ = (
        UniqueConstraint("item_id", "person_id"),
        Index("ix_tasks_person", "person_id", "project_id", "state", "touched_at"),
        Index(
            "ix_tasks_open",
            "project_id",
            "touched_at",
            sqlite_where=text("state = 'open'"),
            postgresql_where=text("state = 'open'"),
        ),
    )


class Answers(Base):
    """What was said of a task: one row, however often it was revised. Not `active`: taken back."""

    __tablename__ = "answers"
    id: Mapped[int] = mapped_column(primary_key=True)
    task_id: Mapped[int] = mapped_column(ForeignKey("tasks.id"), unique=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"))
    item_id: Mapped[int] = mapped_column(ForeignKey("items.id"), index=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("people.id"))
    role: Mapped[str] = mapped_column(String(20))
    value: Mapped[dict[str, Any]]
    seconds: Mapped[float]
    gold_score: Mapped[float | None]
    created_at: Mapped[datetime]
    saved_at: Mapped[datetime]
    num_revisions: Mapped[int]
    active: Mapped[bool]
    __table_args__ = (
        Index("ix_answers_person", "person_id", "project_id", "role", "saved_at"),
        Index("ix_answers_project", "project_id", "role", "item_id"),
    )


class Verdicts(Base):
    """A reviewer's last word on an item."""

    __tablename__ = "verdicts"
    id: Mapped[int] = mapped_column(primary_key=True)
    project_id: Mapped[int] = mapped_column(ForeignKey("projects.id"), index=True)
    item_id: Mapped[int] = mapped_column(ForeignKey("items.id"), unique=True)
    person_id: Mapped[int] = mapped_column(ForeignKey("people.id"))
    value: Mapped[dict[str, Any]]
    saved_at: Mapped[datetime]
    num_revisions: Mapped[int]


class Keys(Base):
    """Submissions that were acknowledged, by the key that the sender made: sent again they are the same."""

    __tablename__ = "keys"
    person_id: Mapped[int] = mapped_column(ForeignKey("people.id"), primary_key=True)
    key: Mapped[str] = mapped_column(String(200), primary_key=True)
    item_id: Mapped[int] = mapped_column(ForeignKey("items.id"))
    answer_id: Mapped[int | None]
    verdict_id: Mapped[int | None]
    at: Mapped[datetime]


class Events(Base):
    """Every change but drafts: who, when, what before, what after."""

    __tablename__ = "events"
    id: Mapped[int] = mapped_column(primary_key=True)
    at: Mapped[datetime]
    person_id: Mapped[int | None] = mapped_column(ForeignKey("people.id"))
    project_id: Mapped[int | None] = mapped_column(ForeignKey("projects.id"))
    item_id: Mapped[int | None] = mapped_column(ForeignKey("items.id"))
    kind: Mapped[str] = mapped_column(String(30))
    before: Mapped[dict[str, Any] | None]
    after: Mapped[dict[str, Any] | None]
    __table_args__ = (
        Index(
            "ix_events_item",
            "item_id",
            sqlite_where=text("item_id IS NOT NULL"),
            postgresql_where=text("item_id IS NOT NULL"),
        ),
        Index("ix_events_project", "project_id", "id"),
    )


def table(kind: type[Base]) -> Table:
    """The table itself, for rows that are written without an object for each."""
    return cast(Table, kind.__table__)
