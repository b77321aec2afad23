"""Who gets what next.

An annotator first answers the qualification items. Then come the items in their order, each to as many people as it
wants, and among them, at places that only the seed knows, ones whose answer is known (gold). Nobody meets an item
twice. What is abandoned comes back: to the same person if they return in time, otherwise to whoever is next.
"""

from __future__ import annotations

import hashlib
import random
from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from functools import lru_cache

from sqlalchemy import BindParameter, ColumnElement, Connection, bindparam, func, insert, select, text, update
from sqlalchemy.dialects import postgresql, sqlite
from sqlalchemy.orm import aliased

from truing.studio.errors import AnswerError
from truing.studio.store.events import record
from truing.studio.store.tables import Answers, Items, Members, People, Projects, Tasks, table

__all__ = [
    "FREE",
    "any_abandoned",
    "drawn",
    "judge_gold",
    "judge_qualification",
    "lower_cursors",
    "next_task",
    "return_abandoned",
    "shown_order",
    "why_none",
]

BLOCK = 100
"""In each block of this many places the share of drawn ones is exact."""
GOLD_LAST, GOLD_LEAST = 20, 5
"""A gold score is the mean over the last 20, and none of fewer than 5."""
MOST_OPEN = 4
"""Tasks that one person may hold: the one on the screen, those fetched ahead, and one that was taken back."""
_REFRESH = timedelta(seconds=60)
FREE = "items.missing > 0 AND items.role = 'work'"


# ── what the seed decides ────────────────────────────────────────────────────────────────────────────────────────────


def drawn(seed: str, share: float, number: int) -> bool:
    """Whether place `number` (0, 1, ...) is among the `share` of all places that the seed draws.

    Exact in every block of 100 places, to a rounding that does not add up; no period that data could share.
    """
    return number % BLOCK in _places(seed, share, number // BLOCK)


@lru_cache(maxsize=4096)
def _places(seed: str, share: float, block: int) -> frozenset[int]:
    # The small number keeps 0.29 * 100 from being 28.999999999999996.
    amount = int((block + 1) * BLOCK * share + 1e-9) - int(block * BLOCK * share + 1e-9)
    return frozenset(random.Random(f"{seed}:{block}").sample(range(BLOCK), amount))


def shown_order(seed: int, item_id: int, person_id: int, size: int) -> list[int]:
    """The order in which this person sees the responses of this item."""
    order = list(range(size))
    random.Random(f"order:{seed}:{item_id}:{person_id}").shuffle(order)
    return order


def _start(seed: int, person_id: int, number: int) -> int:
    """Where among the gold items this person's search for the next one begins."""
    return int.from_bytes(hashlib.sha256(f"gold:{seed}:{person_id}:{number}".encode()).digest()[:4], "big")


# ── what is asked of the data base for every task: made once, since making costs more than asking ─────────────────────


def _not_met() -> ColumnElement[bool]:
    """The item is new to the person."""
    met = aliased(Tasks)
    return (
        ~select(met.id).where(met.item_id == Items.id, met.person_id == bindparam("person")).correlate(Items).exists()
    )


_WHO: BindParameter[int] = bindparam("person")
_WHERE: BindParameter[int] = bindparam("project")
_PERSON = select(People.role, People.paused).where(People.id == _WHO)
_PROJECT = select(Projects.id, Projects.seed, Projects.gold_share, Projects.minutes_to_return).where(
    Projects.id == _WHERE
)
_MEMBER = (
    select(Members.state, Members.num_given, Members.passed)
    .where(Members.project_id == _WHERE, Members.person_id == _WHO)
    .with_for_update(key_share=True)
)
_OPEN = (
    select(Tasks.id, Tasks.touched_at)
    .where(Tasks.person_id == _WHO, Tasks.project_id == _WHERE, Tasks.state == "open")
    .order_by(Tasks.opened_at, Tasks.id)
)
_RETURNED = (
    select(Tasks.id, Tasks.item_id, Tasks.role)
    .where(Tasks.person_id == _WHO, Tasks.project_id == _WHERE, Tasks.state == "returned")
    .order_by(Tasks.id)
)
_FREE_ITEM = (
    select(Items.id, Items.position)
    .where(Items.project_id == _WHERE, text(FREE), Items.position > bindparam("after"), _not_met())
    .order_by(Items.position)
    .limit(1)
)
_KNOWN_ITEM = (
    select(Items.id)
    .where(
        Items.project_id == _WHERE,
        Items.role == bindparam("role"),
        text("items.role <> 'work'"),
        Items.position > bindparam("after"),
        _not_met(),
    )
    .order_by(Items.position)
    .limit(1)
)
_SIZE = select(Items.num_responses).where(Items.id == bindparam("item"))
_ABANDONED = (
    select(Tasks.id)
    .where(Tasks.project_id == _WHERE, text("tasks.state = 'open'"), Tasks.touched_at < bindparam("before"))
    .limit(1)
)
_COUNT = (
    update(table(Members))
    .where(Members.project_id == _WHERE, Members.person_id == _WHO)
    .values(num_given=bindparam("number"), passed=bindparam("now_passed"))
)
_TAKE_SEAT = update(table(Items)).where(Items.id == bindparam("item")).values(missing=Items.missing - 1)
_NEW_TASK = insert(table(Tasks))


# ── the next task ────────────────────────────────────────────────────────────────────────────────────────────────────


@dataclass(frozen=True, slots=True)
class _Member:
    state: str
    num_given: int
    passed: int


def next_task(
    conn: Connection, project_id: int, person_id: int, at: datetime, besides: Collection[int] = ()
) -> int | None:
    """The number of this person's next task, or None (`why_none` says why). Tasks in `besides` are on their screen
    already: another one is given, so that it is there when it is wanted, as long as `MOST_OPEN` are not exceeded."""
    project = _project(conn, project_id)
    person = conn.execute(_PERSON, {"person": person_id}).first()
    if person is None:
        raise AnswerError(f"there is no person {person_id}")
    if person.paused is not None:
        return None
    member = _member(conn, project_id, person_id, person.role, at)
    if member.state in ("paused", "failed"):
        return None
    in_hand = _in_hand(conn, project_id, person_id, at, besides)
    if in_hand is not None:
        return in_hand
    if besides and len(conn.execute(_OPEN, {"project": project_id, "person": person_id}).all()) >= MOST_OPEN:
        return None
    if member.state == "qualifying" and person.role == "annotator":
        item_id = _known_item(conn, project_id, person_id, "qualification", -1)
        return None if item_id is None else _give(conn, project, item_id, person_id, "qualification", at)
    number = member.num_given
    if drawn(f"gold:{project.seed}:{project_id}:{person_id}", project.gold_share, number):
        item_id = _gold_item(conn, project, person_id, number)
        if item_id is not None:
            _count(conn, project_id, person_id, number + 1, member.passed)
            return _give(conn, project, item_id, person_id, "gold", at)
    item_id, passed = _free_item(conn, project_id, person_id, member.passed)
    if item_id is not None:
        _count(conn, project_id, person_id, number + 1, passed)
        return _give(conn, project, item_id, person_id, "work", at)
    return None


@dataclass(frozen=True, slots=True)
class _Project:
    id: int
    seed: int
    gold_share: float
    minutes_to_return: float


def _project(conn: Connection, project_id: int) -> _Project:
    row = conn.execute(_PROJECT, {"project": project_id}).first()
    if row is None:
        raise AnswerError(f"there is no project {project_id}")
    return _Project(*row)


def _member(conn: Connection, project_id: int, person_id: int, role: str, at: datetime) -> _Member:
    """This person's place in the project, held until the transaction ends: one task at a time for each."""
    me = {"project": project_id, "person": person_id}
    row = conn.execute(_MEMBER, me).first()
    if row is not None:
        return _Member(*row)
    tested = role == "annotator" and _has_known(conn, project_id, "qualification")
    values = {
        "project_id": project_id,
        "person_id": person_id,
        "state": "qualifying" if tested else "working",
        "paused": None,
        "num_given": 0,
        "passed": -1,
        "gold_since": at,
    }
    dialect = postgresql if conn.dialect.name == "postgresql" else sqlite
    conn.execute(dialect.insert(Members).values(values).on_conflict_do_nothing())
    return _Member(*conn.execute(_MEMBER, me).one())


def _has_known(conn: Connection, project_id: int, role: str) -> bool:
    known = select(Items.id).where(Items.project_id == project_id, Items.role == role, text("items.role <> 'work'"))
    return conn.execute(known.limit(1)).first() is not None


def _in_hand(
    conn: Connection, project_id: int, person_id: int, at: datetime, besides: Collection[int] = ()
) -> int | None:
    """A task that this person has open, the one given first (one taken back was given before what came after it); or
    one that was returned and is still free."""
    me = {"project": project_id, "person": person_id}
    # Nobody has more than a few open.
    row = next((row for row in conn.execute(_OPEN, me).all() if row.id not in besides), None)
    if row is not None:
        if at - row.touched_at > _REFRESH:
            conn.execute(update(Tasks).where(Tasks.id == row.id).values(touched_at=at))
        return int(row.id)
    # A person has few of those: they are taken up again before anything new.
    for task in conn.execute(_RETURNED, me).all():
        if task.role == "work":
            free = select(Items.id).where(Items.id == task.item_id, Items.missing > 0)
            if conn.execute(free.with_for_update(key_share=True, skip_locked=True)).first() is None:
                continue
            conn.execute(update(Items).where(Items.id == task.item_id).values(missing=Items.missing - 1))
        conn.execute(update(Tasks).where(Tasks.id == task.id).values(state="open", touched_at=at))
        record(
            conn,
            "reopened",
            at,
            person_id=person_id,
            project_id=project_id,
            item_id=task.item_id,
            before={"state": "returned"},
            after={"state": "open"},
        )
        return int(task.id)
    return None


def _free_item(conn: Connection, project_id: int, person_id: int, passed: int) -> tuple[int | None, int]:
    """(the first item behind `passed` that has a free seat and is new to this person, the new `passed`).

    An item that another transaction holds right now is left to it, and `passed` stays before it.
    """
    contested: int | None = None
    after = passed
    while True:
        row = conn.execute(_FREE_ITEM, {"project": project_id, "person": person_id, "after": after}).first()
        if row is None:
            return None, passed
        if conn.dialect.name == "sqlite":  # nobody else writes now
            return int(row.id), int(row.position)
        free = select(Items.id).where(Items.id == row.id, text(FREE))
        if conn.execute(free.with_for_update(key_share=True, skip_locked=True)).first() is not None:
            return int(row.id), int(row.position) if contested is None else contested - 1
        if contested is None:
            contested = int(row.position)
        after = int(row.position)


def _known_item(conn: Connection, project_id: int, person_id: int, role: str, after: int) -> int | None:
    """The first item of a role with a known answer, behind a position, that is new to this person."""
    given = {"project": project_id, "person": person_id, "after": after, "role": role}
    return conn.execute(_KNOWN_ITEM, given).scalar()


def _gold_item(conn: Connection, project: _Project, person_id: int, number: int) -> int | None:
    low, high = conn.execute(
        select(func.min(Items.position), func.max(Items.position)).where(
            Items.project_id == project.id, Items.role == "gold", text("items.role <> 'work'")
        )
    ).one()
    if low is None:
        return None
    after = low - 1 + _start(project.seed, person_id, number) % (high - low + 1)
    found = _known_item(conn, project.id, person_id, "gold", after)
    return found if found is not None else _known_item(conn, project.id, person_id, "gold", -1)


def _count(conn: Connection, project_id: int, person_id: int, num_given: int, passed: int) -> None:
    conn.execute(_COUNT, {"project": project_id, "person": person_id, "number": num_given, "now_passed": passed})


def _give(conn: Connection, project: _Project, item_id: int, person_id: int, role: str, at: datetime) -> int:
    size = conn.execute(_SIZE, {"item": item_id}).scalar_one()
    order = shown_order(project.seed, item_id, person_id, size)
    if role == "work":
        conn.execute(_TAKE_SEAT, {"item": item_id})
    row = {
        "project_id": project.id,
        "item_id": item_id,
        "person_id": person_id,
        "role": role,
        "order": order,
        "state": "open",
        "opened_at": at,
        "touched_at": at,
        "draft": None,
        "skip_reason": None,
    }
    key = conn.execute(_NEW_TASK, row).inserted_primary_key
    assert key is not None
    record(
        conn,
        "opened",
        at,
        person_id=person_id,
        project_id=project.id,
        item_id=item_id,
        after={"task": int(key[0]), "order": order},
    )
    return int(key[0])


# ── what comes back ──────────────────────────────────────────────────────────────────────────────────────────────────


def return_abandoned(conn: Connection, project_id: int, at: datetime, *, person_id: int | None = None) -> int:
    """Take back the tasks that nobody touched for the project's `minutes_to_return` (of `person_id`: all that are
    open) and say how many. A person's draft stays with them."""
    project = _project(conn, project_id)
    query = (
        select(Tasks.id, Tasks.item_id, Tasks.person_id, Tasks.role, Items.position)
        .join(Items)
        .where(Tasks.project_id == project_id, text("tasks.state = 'open'"))
    )
    if person_id is None:
        query = query.where(Tasks.touched_at < at - timedelta(minutes=project.minutes_to_return))
    else:
        query = query.where(Tasks.person_id == person_id)
    rows = conn.execute(query.order_by(Tasks.id).with_for_update(key_share=True, skip_locked=True, of=Tasks)).all()
    for row in rows:
        conn.execute(update(Tasks).where(Tasks.id == row.id).values(state="returned"))
        record(
            conn,
            "returned",
            at,
            person_id=row.person_id,
            project_id=project_id,
            item_id=row.item_id,
            before={"state": "open"},
            after={"state": "returned"},
        )
        if row.role == "work":
            conn.execute(update(Items).where(Items.id == row.item_id).values(missing=Items.missing + 1))
    work = [row.position for row in rows if row.role == "work"]
    if work:
        lower_cursors(conn, project_id, min(work))
    return len(rows)


def any_abandoned(conn: Connection, project_id: int, at: datetime) -> bool:
    """Whether `return_abandoned` would find something: one look into an index."""
    before = at - timedelta(minutes=_project(conn, project_id).minutes_to_return)
    return conn.execute(_ABANDONED, {"project": project_id, "before": before}).first() is not None


def lower_cursors(conn: Connection, project_id: int, position: int) -> None:
    """There is a free seat at this position again: everybody looks there once more."""
    behind = (Members.project_id == project_id, Members.passed >= position)
    if conn.dialect.name == "postgresql":
        # In one order, so that two who lower cursors at once cannot wait for each other.
        conn.execute(select(Members.person_id).where(*behind).order_by(Members.person_id).with_for_update())
    conn.execute(update(Members).where(*behind).values(passed=position - 1))


def why_none(conn: Connection, project_id: int, person_id: int) -> str:
    """Why there is no task: `paused`, `not_qualified`, `waiting` (others hold the last ones), or `done`."""
    _project(conn, project_id)
    if conn.execute(select(People.paused).where(People.id == person_id)).scalar() is not None:
        return "paused"
    state = conn.execute(
        select(Members.state).where(Members.project_id == project_id, Members.person_id == person_id)
    ).scalar()
    if state in ("paused", "failed"):
        return "paused" if state == "paused" else "not_qualified"
    held = (
        select(Tasks.id)
        .join(Items)
        .where(Tasks.project_id == project_id, text("tasks.state = 'open'"), Tasks.role == "work", _not_met())
    )
    return "waiting" if conn.execute(held.limit(1), {"person": person_id}).first() is not None else "done"


def judge_qualification(conn: Connection, project_id: int, person_id: int, at: datetime) -> str | None:
    """After the last item of the test: `working` or `failed`; None while there are more."""
    if _known_item(conn, project_id, person_id, "qualification", -1) is not None:
        return None
    mine = (Tasks.person_id == person_id, Tasks.project_id == project_id, Tasks.role == "qualification")
    if conn.execute(select(Tasks.id).where(*mine, Tasks.state != "answered").limit(1)).first() is not None:
        return None
    score = conn.execute(
        select(func.avg(Answers.gold_score)).where(
            Answers.person_id == person_id, Answers.project_id == project_id, Answers.role == "qualification"
        )
    ).scalar_one()
    needed = conn.execute(select(Projects.qualification_pass).where(Projects.id == project_id)).scalar_one()
    # Without the small number 0.7 would not be reached by seven tenths.
    state = "working" if score + 1e-9 >= needed else "failed"
    conn.execute(
        update(Members)
        .where(Members.project_id == project_id, Members.person_id == person_id, Members.state == "qualifying")
        .values(state=state)
    )
    record(
        conn,
        "qualified" if state == "working" else "failed",
        at,
        person_id=person_id,
        project_id=project_id,
        after={"score": score, "needed": needed},
    )
    return state


def judge_gold(conn: Connection, project_id: int, person_id: int, at: datetime) -> bool:
    """Pause whoever falls below `pause_below` on the last 20 gold items, of at least 5. True: paused just now."""
    since = conn.execute(
        select(Members.gold_since).where(
            Members.project_id == project_id, Members.person_id == person_id, Members.state == "working"
        )
    ).scalar()
    if since is None:
        return False
    scores: list[float] = [
        score or 0.0
        for score in conn.execute(
            select(Answers.gold_score)
            .where(
                Answers.person_id == person_id,
                Answers.project_id == project_id,
                Answers.role == "gold",
                Answers.active,
                Answers.created_at >= since,
            )
            .order_by(Answers.saved_at.desc())
            .limit(GOLD_LAST)
        ).scalars()
    ]
    below = conn.execute(select(Projects.pause_below).where(Projects.id == project_id)).scalar_one()
    if len(scores) < GOLD_LEAST or sum(scores) / len(scores) + 1e-9 >= below:
        return False
    why = (
        f"{sum(scores) / len(scores):.0%} on the last {len(scores)} items whose answer is known; {below:.0%} is needed"
    )
    conn.execute(
        update(Members)
        .where(Members.project_id == project_id, Members.person_id == person_id)
        .values(state="paused", paused=why)
    )
    record(conn, "paused", at, person_id=person_id, project_id=project_id, after={"why": why})
    return True
