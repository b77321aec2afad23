"""The answers that all numbers are made of."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, select

from truing.studio.kinds import Answer
from truing.studio.store.tables import Answers, Items, Tasks

__all__ = ["Label", "labels_of"]


@dataclass(frozen=True, slots=True)
class Label:
    """An answer to an item of work: the order in which its person saw the responses, and how long those are."""

    item_id: int
    person_id: int
    value: Answer
    seconds: float
    order: Sequence[int]
    lengths: Sequence[int]


def labels_of(conn: Connection, project_id: int) -> list[Label]:
    """The answers that count, without those to gold and test items, oldest first."""
    query = (
        select(Answers.item_id, Answers.person_id, Answers.value, Answers.seconds, Tasks.order, Items.lengths)
        .join(Tasks, Tasks.id == Answers.task_id)
        .join(Items, Items.id == Answers.item_id)
        .where(Answers.project_id == project_id, Answers.role == "work", Answers.active)
        .order_by(Answers.id)
    )
    return [Label(*row) for row in conn.execute(query)]
