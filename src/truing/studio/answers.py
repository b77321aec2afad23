"""What a person does with a task: draft, submit, skip, undo, revise, look back.

Every function runs in one transaction of its caller. When that has committed, the answer is on the disk.
"""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from itertools import combinations
from typing import Any

from sqlalchemy import Connection, bindparam, insert, select, update

from truing.group import Group
from truing.studio import assignment, kinds
from truing.studio.errors import AnswerError
from truing.studio.kinds import Answer, Kind
from truing.studio.store.events import record
from truing.studio.store.records import Done, Feedback, Saved
from truing.studio.store.tables import Answers, Items, Keys, Members, People, Projects, Tasks, table

__all__ = ["Form", "difference", "recent", "revise", "save_draft", "skip", "submit", "undo"]

MAX_DRAFT = 1_000_000
MAX_SECONDS = 3600.0
"""An answer that took longer was left lying: it counts as an hour."""
MAX_REASON = 2000


@dataclass(frozen=True, slots=True)
class Form:
    """What an answer is checked against: the item's kind, its settings and its group."""

    kind: Kind[Any]
    settings: Any
    group: Group

    @classmethod
    def of(cls, kind: str, settings: Mapping[str, Any], group: Group) -> Form:
        found = kinds.get(kind)
        return cls(found, found.settings(settings), group)

    def check(self, answer: Mapping[str, Any]) -> Answer:
        return self.kind.check(answer, self.group, self.settings)


_TASK = (Tasks.id, Tasks.project_id, Tasks.item_id, Tasks.person_id, Tasks.role, Tasks.order, Tasks.state, Tasks.draft)


_MINE = (
    select(*_TASK)
    .where(Tasks.id == bindparam("task"), Tasks.person_id == bindparam("person"))
    .with_for_update(key_share=True)
)
_KEY = select(Keys.answer_id, Keys.item_id).where(Keys.person_id == bindparam("person"), Keys.key == bindparam("key"))
_STANDING = (
    select(People.paused, Members.state)
    .join(Members, Members.person_id == People.id)
    .where(People.id == bindparam("person"), Members.project_id == bindparam("project"))
)
_BEFORE = select(Answers.id, Answers.value, Answers.active, Answers.num_revisions).where(
    Answers.task_id == bindparam("task")
)
_WEIGHED = select(Items.num_answers, Items.dispute).where(Items.id == bindparam("item"))
_ANSWERED = (
    update(table(Tasks))
    .where(Tasks.id == bindparam("task"))
    .values(state="answered", touched_at=bindparam("at"), draft=None, skip_reason=None)
)
_COUNTED = (
    update(table(Items))
    .where(Items.id == bindparam("item"))
    .values(num_answers=Items.num_answers + 1, missing=Items.missing - bindparam("seat"))
)
_NEW_ANSWER, _NEW_KEY = insert(table(Answers)), insert(table(Keys))


def _task(conn: Connection, task_id: int, person_id: int) -> Any:
    """The task, held until the transaction ends."""
    row = conn.execute(_MINE, {"task": task_id, "person": person_id}).first()
    if row is None:
        raise AnswerError(f"task {task_id} is not yours", remedy="Ask for the next one.")
    return row


def check_key(key: str) -> None:
    """`AnswerError` for a key that cannot tell one submission from another."""
    if not key or len(key) > 200 or not key.isprintable():
        raise AnswerError(
            f"the key {key[:40]!r} of the submission", remedy="1 to 200 printable characters, new each time."
        )


def _known_key(conn: Connection, person_id: int, key: str, item_id: int) -> int | None:
    """The answer that was saved with this key."""
    row = conn.execute(_KEY, {"person": person_id, "key": key}).first()
    if row is None:
        return None
    if row.item_id != item_id or row.answer_id is None:
        raise AnswerError(
            f"the key {key!r} belongs to the answer to another item", remedy="Make a new key for every submission."
        )
    return int(row.answer_id)


def _keep_key(conn: Connection, person_id: int, key: str, item_id: int, answer_id: int, at: datetime) -> None:
    row = {"person_id": person_id, "key": key, "item_id": item_id, "answer_id": answer_id, "verdict_id": None, "at": at}
    conn.execute(_NEW_KEY, row)


def _not_paused(conn: Connection, project_id: int, person_id: int) -> None:
    row = conn.execute(_STANDING, {"person": person_id, "project": project_id}).one()
    if row.paused is not None or row.state in ("paused", "failed"):
        raise AnswerError("your work is paused, so this answer was not taken", remedy="Ask whoever gave you the link.")


def submit(
    conn: Connection,
    task_id: int,
    person_id: int,
    answer: Mapping[str, Any],
    key: str,
    seconds: float,
    form: Form,
    at: datetime,
) -> Saved:
    """Save an answer. The same key again gives the same answer; another one revises it."""
    check_key(key)
    task = _task(conn, task_id, person_id)
    known = _known_key(conn, person_id, key, task.item_id)
    if known is not None:
        return Saved(known, is_new=False, feedback=_shown(conn, task, known))
    value = form.check(answer)
    if not math.isfinite(seconds) or seconds < 0:
        raise AnswerError(f"`seconds` is {seconds}", remedy="The time from showing the item to the answer, at least 0.")
    score = _gold_score(conn, task, value, form.kind)
    _not_paused(conn, task.project_id, person_id)
    before = conn.execute(_BEFORE, {"task": task_id}).first()
    if before is not None and before.active:
        answer_id = _change(conn, task, before, value, score, person_id, at, "revised")
    else:
        answer_id = _add(conn, task, before, value, score, min(seconds, MAX_SECONDS), at)
    _keep_key(conn, person_id, key, task.item_id, answer_id, at)
    _after(conn, task, person_id, form.kind, at)
    revised = before is not None and bool(before.active)
    return Saved(answer_id, is_new=not revised, is_revised=revised, feedback=_shown(conn, task, answer_id))


def _add(
    conn: Connection, task: Any, before: Any, value: Answer, score: float | None, seconds: float, at: datetime
) -> int:
    if before is None:
        row = {
            "task_id": task.id,
            "project_id": task.project_id,
            "item_id": task.item_id,
            "person_id": task.person_id,
            "role": task.role,
            "value": value,
            "seconds": seconds,
            "gold_score": score,
            "created_at": at,
            "saved_at": at,
            "num_revisions": 0,
            "active": True,
        }
        made = conn.execute(_NEW_ANSWER, row).inserted_primary_key
        assert made is not None
        answer_id = int(made[0])
    else:  # it was taken back, and is given again
        answer_id = int(before.id)
        conn.execute(
            update(Answers)
            .where(Answers.id == answer_id)
            .values(value=value, gold_score=score, saved_at=at, active=True, num_revisions=before.num_revisions + 1)
        )
    conn.execute(_ANSWERED, {"task": task.id, "at": at})
    # The seat of an open task is taken already; one that was given back is taken again, full or not: no label is lost.
    seat = 0 if task.state == "open" or task.role != "work" else 1
    conn.execute(_COUNTED, {"item": task.item_id, "seat": seat})
    record(
        conn,
        "answered",
        at,
        person_id=task.person_id,
        project_id=task.project_id,
        item_id=task.item_id,
        before=None if before is None else {"answer": before.value},
        after={"answer": value, "seconds": round(seconds, 3)},
    )
    return answer_id


def _change(
    conn: Connection,
    task: Any,
    before: Any,
    value: Answer,
    score: float | None,
    person_id: int,
    at: datetime,
    kind: str,
) -> int:
    conn.execute(
        update(Answers)
        .where(Answers.id == before.id)
        .values(value=value, gold_score=score, saved_at=at, num_revisions=before.num_revisions + 1)
    )
    record(
        conn,
        kind,
        at,
        person_id=person_id,
        project_id=task.project_id,
        item_id=task.item_id,
        before={"answer": before.value},
        after={"answer": value},
    )
    return int(before.id)


def _gold_score(conn: Connection, task: Any, value: Answer, kind: Kind[Any]) -> float | None:
    if task.role == "work":
        return None
    if task.role == "qualification" and task.state == "answered":
        raise AnswerError("the test's answers cannot be changed: their solution was shown")
    gold = conn.execute(select(Items.gold).where(Items.id == task.item_id)).scalar_one()
    return kind.score_gold(value, gold["answer"])


def _shown(conn: Connection, task: Any, answer_id: int) -> Feedback | None:
    """What the annotator is told: nothing but after an item of the qualification test."""
    if task.role != "qualification":
        return None
    gold = conn.execute(select(Items.gold).where(Items.id == task.item_id)).scalar_one()
    score = conn.execute(select(Answers.gold_score).where(Answers.id == answer_id)).scalar_one()
    return Feedback(score or 0.0, gold["answer"], gold["reason"])


def _after(conn: Connection, task: Any, person_id: int, kind: Kind[Any], at: datetime) -> None:
    """What an answer sets off."""
    if task.role == "qualification":
        assignment.judge_qualification(conn, task.project_id, person_id, at)
    elif task.role == "gold":
        if assignment.judge_gold(conn, task.project_id, person_id, at):
            assignment.return_abandoned(conn, task.project_id, at, person_id=person_id)
    else:
        weigh(conn, task.item_id, kind)


def difference(kind: Kind[Any], one: Answer, other: Answer) -> float | None:
    """0..1: how far two answers differ, over what both of them say; None where they share nothing.

    Numbers two apart (a reversal of order, two stars) count as opposite, one apart as half.
    """
    a, b = kind.units(one), kind.units(other)
    gaps = []
    for unit in a.keys() & b.keys():
        x, y = a[unit], b[unit]
        gaps.append(min(1.0, abs(x - y) / 2) if isinstance(x, float) and isinstance(y, float) else float(x != y))
    return sum(gaps) / len(gaps) if gaps else None


def weigh(conn: Connection, item_id: int, kind: Kind[Any]) -> None:
    """Keep the item's `dispute` true: the mean difference of the answers that stand."""
    item = conn.execute(_WEIGHED, {"item": item_id}).one()
    if item.num_answers < 2 and item.dispute is None:
        return
    values = conn.execute(select(Answers.value).where(Answers.item_id == item_id, Answers.active)).scalars().all()
    gaps = [gap for a, b in combinations(values, 2) if (gap := difference(kind, a, b)) is not None]
    conn.execute(update(Items).where(Items.id == item_id).values(dispute=sum(gaps) / len(gaps) if gaps else None))


def save_draft(conn: Connection, task_id: int, person_id: int, value: Mapping[str, Any], at: datetime) -> bool:
    """Keep what is written so far. False: the task is answered or skipped, and this came too late to matter."""
    draft = dict(value)
    try:
        size = len(json.dumps(draft, allow_nan=False))
    except (TypeError, ValueError, RecursionError):
        raise AnswerError("the draft is no JSON object") from None
    if size > MAX_DRAFT:
        raise AnswerError(f"the draft has {size:,} characters", remedy=f"At most {MAX_DRAFT:,}.")
    task = _task(conn, task_id, person_id)
    if task.state not in ("open", "returned"):
        return False
    conn.execute(update(Tasks).where(Tasks.id == task_id).values(draft=draft, touched_at=at))
    return True


def skip(conn: Connection, task_id: int, person_id: int, reason: str, at: datetime) -> None:
    """Not for me: the item goes to somebody else and does not come back to this person. Twice is once."""
    task = _task(conn, task_id, person_id)
    reason = reason.replace("\0", "").strip()[:MAX_REASON]
    if task.role == "qualification":
        raise AnswerError("an item of the test cannot be skipped", remedy="Give your best answer.")
    if task.state == "skipped":
        return
    if task.state == "answered":
        raise AnswerError("it is answered already", remedy="Undo the answer first.")
    conn.execute(update(Tasks).where(Tasks.id == task_id).values(state="skipped", touched_at=at, skip_reason=reason))
    record(
        conn,
        "skipped",
        at,
        person_id=person_id,
        project_id=task.project_id,
        item_id=task.item_id,
        before={"state": task.state},
        after={"reason": reason},
    )
    if task.state == "open" and task.role == "work":
        _free_seat(conn, task)


def _free_seat(conn: Connection, task: Any) -> None:
    conn.execute(update(Items).where(Items.id == task.item_id).values(missing=Items.missing + 1))
    position = conn.execute(select(Items.position).where(Items.id == task.item_id)).scalar_one()
    assignment.lower_cursors(conn, task.project_id, position)


def undo(conn: Connection, person_id: int, project_id: int, at: datetime) -> int | None:
    """Take back the last answer or skip: the task is open again, with the answer as its draft. None: there is none."""
    row = conn.execute(
        select(Tasks.id)
        .where(
            Tasks.person_id == person_id,
            Tasks.project_id == project_id,
            Tasks.state.in_(("answered", "skipped")),
            Tasks.role != "qualification",
        )
        .order_by(Tasks.touched_at.desc(), Tasks.id.desc())
        .limit(1)
    ).first()
    if row is None:
        return None
    task = _task(conn, int(row.id), person_id)
    if task.state == "skipped":
        if task.role == "work":
            conn.execute(update(Items).where(Items.id == task.item_id).values(missing=Items.missing - 1))
        conn.execute(update(Tasks).where(Tasks.id == task.id).values(state="open", touched_at=at, skip_reason=None))
        record(
            conn,
            "unskipped",
            at,
            person_id=person_id,
            project_id=project_id,
            item_id=task.item_id,
            before={"state": "skipped"},
            after={"state": "open"},
        )
        return int(task.id)
    answer = conn.execute(select(Answers.id, Answers.value).where(Answers.task_id == task.id)).one()
    conn.execute(update(Answers).where(Answers.id == answer.id).values(active=False, saved_at=at))
    conn.execute(update(Items).where(Items.id == task.item_id).values(num_answers=Items.num_answers - 1))
    conn.execute(update(Tasks).where(Tasks.id == task.id).values(state="open", touched_at=at, draft=answer.value))
    record(
        conn,
        "undone",
        at,
        person_id=person_id,
        project_id=project_id,
        item_id=task.item_id,
        before={"answer": answer.value},
    )
    if task.role == "work":
        weigh(conn, task.item_id, _kind(conn, project_id))
    return int(task.id)


def _kind(conn: Connection, project_id: int) -> Kind[Any]:
    return kinds.get(conn.execute(select(Projects.kind).where(Projects.id == project_id)).scalar_one())


def revise(
    conn: Connection, answer_id: int, person_id: int, answer: Mapping[str, Any], key: str, form: Form, at: datetime
) -> Saved:
    """Change an answer that stands; what it was before is in the history."""
    check_key(key)
    row = conn.execute(select(Answers.task_id).where(Answers.id == answer_id, Answers.person_id == person_id)).first()
    if row is None:
        raise AnswerError(f"answer {answer_id} is not yours")
    task = _task(conn, row.task_id, person_id)
    known = _known_key(conn, person_id, key, task.item_id)
    if known is not None:
        return Saved(known, is_new=False, is_revised=True)
    value = form.check(answer)
    before = conn.execute(
        select(Answers.id, Answers.value, Answers.active, Answers.num_revisions).where(Answers.id == answer_id)
    ).one()
    if not before.active:
        raise AnswerError("it was taken back", remedy="Answer the task again.")
    score = _gold_score(conn, task, value, form.kind)
    _not_paused(conn, task.project_id, person_id)
    _change(conn, task, before, value, score, person_id, at, "revised")
    _keep_key(conn, person_id, key, task.item_id, answer_id, at)
    _after(conn, task, person_id, form.kind, at)
    return Saved(answer_id, is_new=False, is_revised=True)


def recent(conn: Connection, project_id: int, person_id: int, limit: int) -> list[Any]:
    """What this person answered or skipped last, newest first."""
    return list(
        conn.execute(
            select(
                Tasks.id,
                Tasks.item_id,
                Tasks.touched_at,
                Tasks.state,
                Tasks.skip_reason,
                Tasks.role,
                Answers.id.label("answer_id"),
                Answers.value,
                Answers.seconds,
            )
            .outerjoin(Answers, Answers.task_id == Tasks.id)
            .where(
                Tasks.person_id == person_id,
                Tasks.project_id == project_id,
                Tasks.state.in_(("answered", "skipped")),
            )
            .order_by(Tasks.touched_at.desc(), Tasks.id.desc())
            .limit(limit)
        )
    )


def done(row: Any, group: Group) -> Done:
    """A row of `recent` for people."""
    answered = row.state == "answered"
    return Done(
        task_id=row.id,
        item_id=row.item_id,
        at=row.touched_at,
        state=row.state,
        answer_id=row.answer_id if answered else None,
        value=row.value if answered else None,
        skip_reason=row.skip_reason,
        seconds=row.seconds if answered else None,
        prompt=group.prompt.text[:200],
        can_edit=answered and row.role != "qualification",
    )
