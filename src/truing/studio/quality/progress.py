"""How far the work is, what it cost, and what it will."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, func, select, text

from truing.studio.quality.labels import Label
from truing.studio.store.tables import Items, Tasks, Verdicts

__all__ = ["Cost", "Progress", "cost_of", "progress_of"]


@dataclass(frozen=True, slots=True)
class Progress:
    """Of the work, without gold and test. `num_labels` of `num_wanted` seats are answered."""

    num_items: int
    num_done: int
    num_labels: int
    num_wanted: int
    num_open: int
    num_disputed: int
    num_decided: int


@dataclass(frozen=True, slots=True)
class Cost:
    """Money is None where the project has no wage. What is to come includes the gold items on the way."""

    hours: float
    minutes_per_item: float | None
    money: float | None
    hours_to_come: float | None
    money_to_come: float | None


def progress_of(conn: Connection, project_id: int) -> Progress:
    """Counted by the data base."""
    work = (Items.project_id == project_id, Items.role == "work")
    row = conn.execute(
        select(
            func.count(),
            func.coalesce(func.sum(Items.num_answers), 0),
            func.coalesce(func.sum(Items.wanted), 0),
        ).where(*work)
    ).one()
    done = conn.execute(
        select(func.count()).select_from(Items).where(*work, Items.num_answers >= Items.wanted)
    ).scalar_one()
    opened = conn.execute(
        select(func.count())
        .select_from(Tasks)
        .where(Tasks.project_id == project_id, text("tasks.state = 'open'"), Tasks.role == "work")
    ).scalar_one()
    disputed = conn.execute(
        select(func.count()).select_from(Items).where(Items.project_id == project_id, text("items.dispute > 0"))
    ).scalar_one()
    decided = conn.execute(
        select(func.count()).select_from(Verdicts).where(Verdicts.project_id == project_id)
    ).scalar_one()
    return Progress(row[0], done, int(row[1]), int(row[2]), opened, disputed, decided)


def cost_of(
    labels: Sequence[Label], known: Sequence[float], progress: Progress, wage: float | None, gold_share: float
) -> Cost:
    """`known`: the seconds of each gold and test item. A label to come takes as long as those that are there."""
    hours = (sum(label.seconds for label in labels) + sum(known)) / 3600
    if not labels:
        return Cost(hours, None, None if wage is None else hours * wage, None, None)
    seconds = sum(label.seconds for label in labels) / len(labels)
    to_come = max(0, progress.num_wanted - progress.num_labels) * seconds / 3600
    if gold_share < 1:
        to_come /= 1 - gold_share
    return Cost(
        hours,
        seconds / 60,
        None if wage is None else hours * wage,
        to_come,
        None if wage is None else to_come * wage,
    )
