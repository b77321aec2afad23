"""The store as a source of feedback, `--data studio.db#project`, also while people label.

`truing.feedback.readers` finds it under `truing.sources` in pyproject.toml.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

from truing.errors import DataError
from truing.feedback.formats.cells import near
from truing.studio.errors import StoreError

if TYPE_CHECKING:
    from truing.studio.store import Project, Store

__all__ = ["chosen_project", "rows"]


def rows(source: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """The labels of `studio.db`, `studio.db#project` or a data base's URL as (where, row of format `group`)."""
    try:
        from truing.studio.exporting import located
        from truing.studio.store import Store
        from truing.studio.store.groups import as_json
    except ModuleNotFoundError as error:
        raise DataError(
            f"a store needs a package that is not there ({error.name})",
            where=source,
            remedy="pip install 'truing[studio]'",
        ) from None
    place, _, name = source.partition("#")
    number = 0
    with Store.open(place, create=False) as store:
        for where, group in located(store, chosen_project(store, name or None).id):
            number += 1
            yield where, as_json(group)
    if not number:
        raise DataError("nothing is labelled in it yet", where=source)


def chosen_project(store: Store, name: str | None) -> Project:
    """The project of this name; without one, the only one that there is."""
    projects = store.projects()
    names = ", ".join(project.name for project in projects)
    if not projects:
        raise StoreError("it holds no project", where=store.place, remedy="`truing collect` makes one.")
    if name is None:
        if len(projects) > 1:
            raise StoreError(
                f"it holds several projects: {names}",
                where=store.place,
                remedy=f"Name one after a #: {store.place}#{projects[0].name}",
            )
        return projects[0]
    for project in projects:
        if project.name == name:
            return project
    meant = near(name, [project.name for project in projects])
    hint = f"Did you mean {meant!r}? " if meant else ""
    raise StoreError(f"there is no project {name!r}", where=store.place, remedy=f"{hint}Its projects: {names}.")
