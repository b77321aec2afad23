"""The last word: items on which people differ, items to be looked at again, and what a reviewer decides."""

from __future__ import annotations

import random
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, insert, select, text, update

from truing.group import Group
from truing.studio.answers import Form, check_key
from truing.studio.errors import AnswerError
from truing.studio.store import Store
from truing.studio.store.events import record
from truing.studio.store.tables import Answers, Items, Keys, People, Projects, Tasks, Verdicts

__all__ = ["Decided", "Said", "Under", "Verdict", "decide", "disagreements", "item", "num_disagreements", "sample"]


@dataclass(frozen=True, slots=True)
class Said:
    """One person's answer to an item; `order[place]` is the response that they saw there."""

    answer_id: int
    person: str
    value: dict[str, Any]
    seconds: float
    saved_at: datetime
    order: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Verdict:
    """A reviewer's last word."""

    person: str
    value: dict[str, Any]
    saved_at: datetime


@dataclass(frozen=True, slots=True)
class Under:
    """An item under review. `dispute`: 0 all say the same .. 1 opposite; None with fewer than two answers."""

    item_id: int
    project_id: int
    position: int
    group: Group
    dispute: float | None
    said: tuple[Said, ...]
    verdict: Verdict | None


@dataclass(frozen=True, slots=True)
class Decided:
    """A verdict that is on the disk. `is_new` False: this key was saved before."""

    verdict_id: int
    is_new: bool


_DISPUTED = "items.dispute > 0"


def _undecided() -> Any:
    return ~select(Verdicts.id).where(Verdicts.item_id == Items.id).correlate(Items).exists()


def disagreements(
    store: Store, project_id: int, *, least: float = 0.0, limit: int = 100, decided: bool = False
) -> list[Under]:
    """The items whose answers differ by more than `least`, the most disputed first; with `decided` also those that
    have a verdict."""
    with store.reading() as conn:
        query = select(Items.id).where(Items.project_id == project_id, text(_DISPUTED), Items.dispute > least)
        if not decided:
            query = query.where(_undecided())
        ids = conn.execute(query.order_by(Items.dispute.desc(), Items.position).limit(limit)).scalars().all()
        return _under(store, conn, ids)


def num_disagreements(store: Store, project_id: int) -> int:
    """How many wait for a verdict."""
    with store.reading() as conn:
        query = select(Items.id).where(Items.project_id == project_id, text(_DISPUTED), _undecided())
        return len(conn.execute(query).all())


def sample(store: Store, project_id: int, number: int, *, seed: int = 0) -> list[Under]:
    """`number` answered items without a verdict, drawn by the seed: what a reviewer looks at to know the rest."""
    with store.reading() as conn:
        query = select(Items.id).where(Items.project_id == project_id, Items.num_answers > 0, _undecided())
        ids = conn.execute(query.order_by(Items.id)).scalars().all()
        chosen = random.Random(f"review:{seed}").sample(list(ids), min(number, len(ids)))
        return _under(store, conn, chosen)


def item(store: Store, item_id: int) -> Under:
    """One item with everything that was said of it."""
    with store.reading() as conn:
        found = _under(store, conn, [item_id])
    if not found:
        raise AnswerError(f"there is no item {item_id}")
    return found[0]


def _under(store: Store, conn: Connection, ids: Sequence[int]) -> list[Under]:
    said: dict[int, list[Said]] = defaultdict(list)
    for row in conn.execute(
        select(Answers.item_id, Answers.id, People.name, Answers.value, Answers.seconds, Answers.saved_at, Tasks.order)
        .join(People, People.id == Answers.person_id)
        .join(Tasks, Tasks.id == Answers.task_id)
        .where(Answers.item_id.in_(ids), Answers.active)
        .order_by(Answers.id)
    ):
        said[row.item_id].append(Said(row.id, row.name, row.value, row.seconds, row.saved_at, tuple(row.order)))
    verdicts = {
        row.item_id: Verdict(row.name, row.value, row.saved_at)
        for row in conn.execute(
            select(Verdicts.item_id, People.name, Verdicts.value, Verdicts.saved_at)
            .join(People, People.id == Verdicts.person_id)
            .where(Verdicts.item_id.in_(ids))
        )
    }
    items = {
        row.id: row
        for row in conn.execute(
            select(Items.id, Items.project_id, Items.position, Items.dispute).where(Items.id.in_(ids))
        )
    }
    return [
        Under(
            item_id,
            items[item_id].project_id,
            items[item_id].position,
            store.groups.get(conn, item_id),
            items[item_id].dispute,
            tuple(said[item_id]),
            verdicts.get(item_id),
        )
        for item_id in ids
        if item_id in items
    ]


def decide(store: Store, item_id: int, person_id: int, answer: Mapping[str, Any], key: str) -> Decided:
    """A reviewer's last word on an item, which can be changed later. The same key again is the same verdict."""
    check_key(key)
    with store.reading() as conn:
        row = conn.execute(
            select(Projects.id, Projects.kind, Projects.settings)
            .join(Items, Items.project_id == Projects.id)
            .where(Items.id == item_id)
        ).first()
        if row is None:
            raise AnswerError(f"there is no item {item_id}")
        form = Form.of(row.kind, row.settings, store.groups.get(conn, item_id))
    at = store.clock()

    def work(conn: Connection) -> Decided:
        role = conn.execute(select(People.role).where(People.id == person_id)).scalar()
        if role not in ("reviewer", "admin"):
            raise AnswerError("only a reviewer has the last word", remedy="An admin can make you one.")
        # Held, so that two verdicts at once are one after the other.
        conn.execute(select(Items.id).where(Items.id == item_id).with_for_update(key_share=True))
        known = conn.execute(
            select(Keys.verdict_id, Keys.item_id).where(Keys.person_id == person_id, Keys.key == key)
        ).first()
        if known is not None:
            if known.verdict_id is None or known.item_id != item_id:
                raise AnswerError(f"the key {key!r} belongs to something else", remedy="Make a new key each time.")
            return Decided(int(known.verdict_id), is_new=False)
        value = form.check(answer)
        before = conn.execute(
            select(Verdicts.id, Verdicts.value, Verdicts.num_revisions).where(Verdicts.item_id == item_id)
        ).first()
        if before is None:
            made = conn.execute(
                insert(Verdicts).values(
                    project_id=row.id, item_id=item_id, person_id=person_id, value=value, saved_at=at, num_revisions=0
                )
            ).inserted_primary_key
            assert made is not None
            verdict_id = int(made[0])
        else:
            verdict_id = int(before.id)
            conn.execute(
                update(Verdicts)
                .where(Verdicts.id == verdict_id)
                .values(value=value, person_id=person_id, saved_at=at, num_revisions=before.num_revisions + 1)
            )
        conn.execute(insert(Keys).values(person_id=person_id, key=key, item_id=item_id, verdict_id=verdict_id, at=at))
        record(
            conn,
            "adjudicated",
            at,
            person_id=person_id,
            project_id=row.id,
            item_id=item_id,
            before=None if before is None else {"verdict": before.value},
            after={"verdict": value},
        )
        return Decided(verdict_id, is_new=True)

    return store.write(work)
