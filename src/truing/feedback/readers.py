"""Readers of what is no file: stores, by the ending of their name or the scheme of their URL.

Rooms and packages register readers in their metadata, so that this room knows none of them and asking imports none:

    [project.entry-points."truing.sources"]
    ".db" = "truing.studio.source:rows"        # labels.db, labels.db#project
    postgresql = "truing.studio.source:rows"   # postgresql://user@host/name#project, also postgresql+driver://...

A reader is a function of the source as it was named that yields (where, row).
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from truing.errors import RegistryError
from truing.feedback.files import Row, container

if TYPE_CHECKING:
    from importlib.metadata import EntryPoint

__all__ = ["GROUP", "find", "rows"]

GROUP = "truing.sources"
"""The entry points' group."""


def find(source: str | Path) -> EntryPoint | None:
    """Who reads a source, not imported yet; None: it is no store.

    `RegistryError` where several packages say that they do.
    """
    place = str(source).partition("#")[0]
    scheme, url, _ = place.partition("://")
    kind = scheme.partition("+")[0] if url else Path(place).suffix.lower()
    # The endings of files are taken, and a folder is a folder whatever its name.
    if not kind or (not url and container(Path(place))[0] is not None) or Path(source).is_dir():
        return None
    from importlib.metadata import entry_points  # here, since whoever reads a file need not wait for it

    found = list(entry_points(group=GROUP, name=kind))
    if len(found) > 1:
        packages = ", ".join(sorted(point.dist.name if point.dist else point.value for point in found))
        raise RegistryError(
            f"several packages read `{kind}`: {packages}", where=str(source), remedy="Uninstall all but one."
        )
    return found[0] if found else None


def rows(reader: EntryPoint, source: str) -> Iterator[tuple[str, Row]]:
    """(where, row) one after the other, as the reader gives them."""
    from truing.registry import load

    read: Any = load(reader)
    yield from read(source)
