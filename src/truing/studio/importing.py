"""Files -> items: whatever `truing feedback` reads can be judged.

A column `gold` holds a known answer in the JSON of the project's kind: `{"choice": "first", "reason": "..."}`.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from truing.errors import DataError
from truing.feedback.files import refuse
from truing.feedback.formats.cells import shown
from truing.feedback.reading import located
from truing.group import Group
from truing.studio.store import Store
from truing.studio.store.store import Located

__all__ = ["GOLD", "Imported", "import_file"]

GOLD = "gold"


@dataclass(frozen=True, slots=True)
class Imported:
    """What an import did: `num_read` rows, of which `num_added` were new."""

    num_read: int
    num_added: int
    skipped: list[DataError] = field(default_factory=list)


def import_file(
    store: Store,
    project_id: int,
    path: str | Path,
    *,
    format: str | None = None,
    qualification: bool = False,
    keep_feedback: bool = True,
    skip_bad: bool = False,
    by: int | None = None,
) -> Imported:
    """Add a file's rows to a project. What was said of them before is exported along with what people say now, unless
    `keep_feedback` is off; annotators never see it. With `qualification` they are the test, and all need a `gold`.
    """
    number = 0
    skipped: list[DataError] = []

    def found() -> Iterator[Located]:
        nonlocal number
        for where, group in located(path, format=format, on_bad=skipped.append if skip_bad else refuse):
            number += 1
            yield where, *_parted(group if keep_feedback else replace(group, feedback=()), where)

    added = store.add_located(project_id, found(), qualification, by=by)
    return Imported(number, added, skipped)


def _parted(group: Group, where: str) -> tuple[Group, Mapping[str, Any] | None]:
    """The group without its column `gold`, and what that says."""
    value = group.columns.get(GOLD)
    if isinstance(value, str):  # all that CSV can hold
        try:
            value = json.loads(value) if value.strip() else None
        except (ValueError, RecursionError):
            raise _no_gold(value, where) from None
    if value is not None and not isinstance(value, dict):
        raise _no_gold(value, where)
    return replace(group, columns={k: v for k, v in group.columns.items() if k != GOLD}), value


def _no_gold(value: Any, where: str) -> DataError:
    return DataError(
        f"column `{GOLD}` holds {shown(value)}",
        where=where,
        remedy='A known answer is an object, {"choice": "first", "reason": "..."} in a project of pairs.',
    )
