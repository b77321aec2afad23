"""Labels -> groups -> any format, also while people are labelling.

Items are read 200 at a time, each batch as it is at one moment: no transaction is held for as long as a slow reader
takes, and what is said of one item is never half of a change.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

from sqlalchemy import or_, select

from truing.errors import DataError
from truing.feedback import formats
from truing.feedback.convert import KINDS, Options
from truing.feedback.formats.cells import near
from truing.feedback.writing import write_located
from truing.group import Group
from truing.studio import kinds
from truing.studio.answers import difference
from truing.studio.kinds import Answer, Kind
from truing.studio.store import Store
from truing.studio.store.groups import from_json
from truing.studio.store.tables import Answers, Items, People, Verdicts

__all__ = ["groups", "located", "targets", "write"]

_BATCH = 200
COMMENTS = "annotator_comments"
"""The column of what people wrote beside their answers."""


def groups(store: Store, project_id: int, *, adjudicated: bool = True, known: bool = False) -> Iterator[Group]:
    """The labelled items with everybody's feedback, in the order of the items.

    With `adjudicated` a reviewer's verdict replaces the answers that differ from it; without, it is left out and all
    answers are there. `known` also gives the gold and qualification items.
    """
    for _, group in located(store, project_id, adjudicated=adjudicated, known=known):
        yield group


def located(
    store: Store, project_id: int, *, adjudicated: bool = True, known: bool = False
) -> Iterator[tuple[str, Group]]:
    """(where, group): see `groups`."""
    project = store.project(project_id)
    kind = kinds.get(project.kind)
    settings = kind.settings(project.settings)
    after = -1
    while True:
        with store.reading() as conn:
            query = select(Items.id, Items.position, Items.group).where(
                Items.project_id == project_id,
                Items.position > after,
                or_(Items.num_answers > 0, select(Verdicts.id).where(Verdicts.item_id == Items.id).exists()),
            )
            if not known:
                query = query.where(Items.role == "work")
            items = conn.execute(query.order_by(Items.position).limit(_BATCH)).all()
            if not items:
                return
            after = items[-1].position
            said: dict[int, list[tuple[str, Answer]]] = defaultdict(list)
            span = (Answers.item_id.in_([item.id for item in items]), Answers.active)
            for row in conn.execute(
                select(Answers.item_id, People.name, Answers.value)
                .join(People, People.id == Answers.person_id)
                .where(*span)
                .order_by(Answers.id)
            ):
                said[row.item_id].append((row.name, row.value))
            verdicts: dict[int, tuple[str, Answer]] = {}
            if adjudicated:
                for row in conn.execute(
                    select(Verdicts.item_id, People.name, Verdicts.value)
                    .join(People, People.id == Verdicts.person_id)
                    .where(Verdicts.item_id.in_([item.id for item in items]))
                ):
                    verdicts[row.item_id] = (row.name, row.value)
        for item in items:
            where = f"{store.place}#{project.name}: item {item.id}"
            kept = _decided(kind, said[item.id], verdicts.get(item.id))
            if not kept:
                continue
            for group in kind.groups(from_json(item.group, where), kept, settings):
                yield where, _with_comments(group, kept)


def _decided(
    kind: Kind[Any], said: list[tuple[str, Answer]], verdict: tuple[str, Answer] | None
) -> list[tuple[str, Answer]]:
    """The answers that the verdict lets stand, and the verdict; a reviewer's own answer gives way to it."""
    if verdict is None:
        return said
    who, last = verdict
    return [(name, a) for name, a in said if name != who and (difference(kind, a, last) or 0.0) == 0.0] + [verdict]


def _with_comments(group: Group, said: list[tuple[str, Answer]]) -> Group:
    comments = [{"annotator_id": who, "text": a["comment"]} for who, a in said if a.get("comment")]
    return replace(group, columns={**group.columns, COMMENTS: comments}) if comments else group


# ── files ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def targets() -> list[str]:
    """What can be exported to: the formats that can be written, and the kinds of feedback of `feedback convert`."""
    return [*(name for name, format in formats.FORMATS.items() if format.writes), *KINDS]


def write(store: Store, project_id: int, format: str, path: str | Path, *, adjudicated: bool = True) -> int:
    """Write the labels as rows of a format (or a kind of `feedback convert`) and say how many rows.

    A format that holds one comparison a row gets one for each that was made. The file appears when it is whole.
    """
    name, make = _maker(format)
    found = located(store, project_id, adjudicated=adjudicated)
    made = ((where, each) for where, group in found for each in make(group))
    return write_located(made, path, name)


def _maker(target: str) -> tuple[str, Callable[[Group], list[Group]]]:
    """(the format, what makes its groups of an exported one)."""
    if target not in targets():
        meant = near(target, targets())
        raise DataError(
            f"there is no format and no kind `{target}` to export to",
            remedy=(f"Did you mean `{meant}`? " if meant else "") + f"Known: {', '.join(targets())}.",
        )
    kind = KINDS.get(target) or next((kind for kind in KINDS.values() if kind.format == target), None)
    if kind is not None:
        made = kind
        return made.format, lambda group: made.make(group, Options())
    return target, lambda group: _fitting(group, formats.get(target).write)


def _fitting(group: Group, fits: Callable[[Group], Any]) -> list[Group]:
    """The group, or where the format holds one opinion a row, one group for each."""
    try:
        fits(group)
    except DataError:
        if len(group.feedback) > 1:
            return [replace(group, feedback=(said,)) for said in group.feedback]
    return [group]
