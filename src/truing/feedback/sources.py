"""Where rows come from: files, folders and names of data sets, and what other rooms read (`studio.db`).

rows("pairs.jsonl.gz") -> ("pairs.jsonl.gz:1", {"prompt": ..., "chosen": ..., "rejected": ...}), ...
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from truing.errors import DataError
from truing.feedback import files, hub, readers
from truing.feedback.files import OnBad, Row, refuse
from truing.feedback.formats.cells import near

__all__ = ["check_source", "rows"]


def rows(source: str | Path, on_bad: OnBad = refuse) -> Iterator[tuple[str, Row]]:
    """(where, row) one after the other. `source` is a file, a folder of `save_to_disk`,
    `owner/name[/config][:split]` on the hub, or a store that has a reader (`studio.db#project`). `on_bad` hears of
    each row that cannot be read; if it returns, the row is left out.

    Not of every fault can the rest be read: what breaks the file itself is always raised.
    """
    path = Path(source)
    heard = False

    def hear(error: DataError) -> None:
        nonlocal heard
        heard = True
        on_bad(error)

    reader = readers.find(source)
    if reader is not None:
        found = readers.rows(reader, str(source))
    elif path.is_dir():
        found = hub.rows(str(path), hub.from_disk(path), hear)
    elif path.is_file():
        found = files.rows(path, hear)
    elif hub.is_name(str(source)):
        found = hub.rows(str(source), hub.from_hub(str(source)), hear)
    else:
        raise _no_such_file(path)
    number = 0
    for row in found:
        number += 1
        yield row
    if not number and not heard:
        raise DataError("it holds no rows", where=str(source), remedy="Was it written to the end? Give one with rows.")


def check_source(source: str | Path) -> None:
    """`DataError` where it is no file, no folder, no store and no name on the hub. Opens nothing."""
    if "://" in str(source):
        return
    path = Path(str(source).partition("#")[0] if readers.find(source) else source)
    if not (path.is_dir() or path.is_file() or hub.is_name(str(source))):
        raise _no_such_file(path)


def _no_such_file(path: Path) -> DataError:
    beside = [p.name for p in path.parent.iterdir()] if path.parent.is_dir() else []
    meant = near(path.name, beside)
    hint = (
        f"Did you mean {path.parent / meant}?" if meant else "Give a file, a folder of `save_to_disk`, or owner/name."
    )
    return DataError("no such file", where=str(path), remedy=hint)
