"""What the labels are worth: live numbers of a project, and warnings where something else explains them.

labels                               what they are made of
bias, agreement, people, progress    the numbers, one file each
warnings                             what somebody should look at
"""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass

from sqlalchemy import func, select

from truing.feedback.agreement.report import TARGET, Agreement
from truing.studio import kinds
from truing.studio.quality.agreement import agreements_of, shares_of
from truing.studio.quality.bias import Bias, first_shown_bias, longest_bias
from truing.studio.quality.labels import Label, labels_of
from truing.studio.quality.people import PersonQuality, person_quality
from truing.studio.quality.progress import Cost, Progress, cost_of, progress_of
from truing.studio.quality.warnings import Warning, warnings_of
from truing.studio.store import Store
from truing.studio.store.tables import Answers, Members, People, Tasks

__all__ = ["Bias", "Cost", "PersonQuality", "Progress", "Summary", "Warning", "summary"]


@dataclass(frozen=True, slots=True)
class Summary:
    """The live numbers of a project. `agreement` has one entry for each thing that was asked of two people or more."""

    project_id: int
    progress: Progress
    people: tuple[PersonQuality, ...]
    agreement: tuple[Agreement, ...]
    target: float
    target_met: bool | None
    """None: nothing was judged twice yet."""
    first_shown: Bias | None
    longer: Bias | None
    cost: Cost
    warnings: tuple[Warning, ...]


def summary(store: Store, project_id: int, *, target: float = TARGET) -> Summary:
    """All live numbers, of one moment of the store."""
    project = store.project(project_id)
    kind = kinds.get(project.kind)
    with store.reading() as conn:
        labels = labels_of(conn, project_id)
        known = conn.execute(
            select(Answers.person_id, Answers.role, Answers.gold_score, Answers.seconds)
            .where(Answers.project_id == project_id, Answers.role != "work", Answers.active)
            .order_by(Answers.saved_at)
        ).all()
        members = conn.execute(
            select(People.id, People.name, Members.state, Members.paused, People.paused.label("everywhere"))
            .join(Members, Members.person_id == People.id)
            .where(Members.project_id == project_id)
            .order_by(People.name)
        ).all()
        skipped = {
            row.person_id: row.number
            for row in conn.execute(
                select(Tasks.person_id, func.count().label("number"))
                .where(Tasks.project_id == project_id, Tasks.state == "skipped")
                .group_by(Tasks.person_id)
            )
        }
        progress = progress_of(conn, project_id)
    names = {row.id: row.name for row in members}
    agreed = agreements_of(kind, labels, names)
    by_person: dict[int, list[Label]] = defaultdict(list)
    for label in labels:
        by_person[label.person_id].append(label)
    shares = shares_of(agreed)
    people = tuple(
        person_quality(
            row,
            kind,
            by_person[row.id],
            skipped.get(row.id, 0),
            [k for k in known if k.person_id == row.id],
            *shares.get(row.name, (0, None)),
        )
        for row in members
    )
    met = [each.met(target) for each in agreed]
    first, longest = first_shown_bias(kind, labels), longest_bias(kind, labels)
    return Summary(
        project_id,
        progress,
        people,
        agreed,
        target,
        None if not met or None in met else all(met),
        first,
        longest,
        cost_of(labels, [k.seconds for k in known], progress, project.wage, project.gold_share),
        tuple(warnings_of(kind, labels, by_person, people, agreed, first, longest, target)),
    )
