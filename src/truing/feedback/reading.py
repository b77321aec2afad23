"""Files -> groups."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from truing.errors import DataError
from truing.feedback import formats
from truing.feedback.files import OnBad, refuse
from truing.feedback.formats import Format
from truing.feedback.sources import rows
from truing.group import Group

__all__ = ["located", "read", "read_all", "sniff"]


def sniff(source: str | Path) -> Format:
    """The format of a source, by its first row."""
    for where, row in rows(source):
        return formats.sniff(row, where)
    raise AssertionError("rows() yields or raises")


def located(source: str | Path, *, format: str | None = None, on_bad: OnBad = refuse) -> Iterator[tuple[str, Group]]:
    """(where, group) one after the other; `on_bad` hears of each row that cannot be read.

    The first row whose columns are known decides on the format of all; `format` names it instead.
    """
    chosen = formats.get(format) if format else None
    unknown: DataError | None = None
    columns: set[str] = set()
    for where, row in rows(source, on_bad):
        if chosen is None:
            try:
                chosen = formats.sniff(row, where)
            except DataError as error:
                if set(row) == columns and unknown is not None:
                    raise unknown from None  # two rows with the same columns: it is the file and not a row
                unknown, columns = error, set(row)
                on_bad(error)
                continue
        try:
            groups = chosen.groups(row, where)
        except DataError as error:
            on_bad(error)
            continue
        for group in groups:
            yield where, group


def read(
    source: str | Path, *, format: str | None = None, skip_bad: bool = False, skipped: list[DataError] | None = None
) -> Iterator[Group]:
    """The groups of a file, streamed.

    `source` is a .jsonl, .json, .csv or .parquet file, each also .gz, a folder of `datasets.save_to_disk`, or
    `owner/name[/config][:split]` on the hub. The format is recognised by the columns, or named.
    A bad row ends the reading with a `DataError` that names file and line. With `skip_bad` it is left out and its error
    added to `skipped`; if no row is left, that is an error.
    """
    bad: list[DataError] = [] if skipped is None else skipped
    number = 0
    for _, group in located(source, format=format, on_bad=bad.append if skip_bad else refuse):
        number += 1
        yield group
    if not number:
        raise none_left(source, bad)


def read_all(
    source: str | Path, *, format: str | None = None, skip_bad: bool = False, skipped: list[DataError] | None = None
) -> list[Group]:
    """All groups of a file at once; see `read`."""
    return list(read(source, format=format, skip_bad=skip_bad, skipped=skipped))


def none_left(source: str | Path, bad: list[DataError]) -> DataError:
    """Every row was skipped."""
    return DataError(
        f"none of its {len(bad)} rows can be read; the first: {bad[0].where}: {bad[0].found}",
        where=str(source),
        remedy="`truing feedback check FILE` lists them all.",
    )
