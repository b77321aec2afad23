"""Groups -> files: whole, or not at all."""

from __future__ import annotations

import csv
import gzip
import io
import json
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from truing.errors import DataError
from truing.feedback import formats
from truing.feedback.files import OnBad, Stream, known_container, refuse
from truing.feedback.files.csv import looks_like_turns
from truing.feedback.formats.cells import shown
from truing.group import Group

__all__ = ["write", "write_located"]

Rows = Iterable[tuple[str, dict[str, Any]]]


def write(groups: Iterable[Group], path: str | Path, format: str) -> int:
    """Write groups as rows of a format and say how many. The file's ending says how: .jsonl, .json, .csv, .parquet,
    each also .gz. JSON is streamed; CSV and Parquet need all rows at once, to know their columns.

    The file appears when all is written; after an error whatever was there before is still there.
    """
    return write_located(((f"group {number}", group) for number, group in enumerate(groups, 1)), path, format)


def write_located(groups: Iterable[tuple[str, Group]], path: str | Path, format: str, on_bad: OnBad = refuse) -> int:
    """`write`, where each group comes with its place; `on_bad` hears of those that the format cannot say."""
    number = 0
    made = _rows(groups, format, on_bad)

    def counted() -> Rows:
        nonlocal number
        for row in made:
            number += 1
            yield row

    path = Path(path)
    ending, zipped = known_container(path)
    if path.is_dir():
        raise DataError("there is a folder of this name", where=str(path), remedy="Choose another name.")
    if not path.parent.is_dir():
        raise DataError("there is no such folder", where=str(path.parent), remedy="Make it first.")
    with _replacing(path) as file:
        if zipped:
            # No name and no time inside: the same groups give the same bytes.
            with gzip.GzipFile("", "wb", compresslevel=6, fileobj=file, mtime=0) as packed:
                _WRITERS[ending](counted(), packed)
        else:
            _WRITERS[ending](counted(), file)
        if not number:
            raise DataError("there is nothing to write", where=str(path))
    return number


def _rows(groups: Iterable[tuple[str, Group]], name: str, on_bad: OnBad) -> Iterator[tuple[str, dict[str, Any]]]:
    format = formats.get(name)
    for where, group in groups:
        try:
            row = format.write(group)
            taken_for = formats.recognised(row)
            if taken_for is not format:
                called = f"would be taken for format `{taken_for.name}`" if taken_for else "would not be recognised"
                raise DataError(
                    f"with the group's extra columns ({', '.join(group.columns)}) the row {called}",
                    remedy="Rename or drop those columns first.",
                )
        except DataError as error:
            on_bad(DataError(error.found, where=where, remedy=error.remedy))
            continue
        yield where, row


@contextmanager
def _replacing(path: Path) -> Iterator[Stream]:
    """A file beside `path` that takes its place at the end, or disappears."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.")
    try:
        with os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        mask = os.umask(0)
        os.umask(mask)
        os.chmod(name, 0o666 & ~mask)  # mkstemp is more private than a file that a user asks for
        os.replace(name, path)
    except BaseException:
        os.unlink(name)
        raise


def _text(value: Any, where: str) -> str:
    try:
        return json.dumps(value, ensure_ascii=False, allow_nan=False)
    except (TypeError, ValueError, RecursionError) as error:
        names = [name for name, cell in value.items() if not _fits(cell)] if isinstance(value, dict) else []
        named = f"column `{names[0]}` holds {shown(value[names[0]])}" if names else f"it holds {shown(value)}"
        raise DataError(f"{named}, which is not JSON ({error})", where=where, remedy="Drop or change it.") from None


def _fits(value: Any) -> bool:
    try:
        json.dumps(value, allow_nan=False)
    except (TypeError, ValueError, RecursionError):
        return False
    return True


def _encoded(text: str, where: str) -> bytes:
    try:
        return text.encode()
    except UnicodeEncodeError as error:
        raise DataError(
            f"it holds half a surrogate pair, {text[error.start]!r}", where=where, remedy="Mend the text."
        ) from None


def _jsonl(rows: Rows, file: Stream) -> None:
    for where, row in rows:
        file.write(_encoded(_text(row, where) + "\n", where))


def _json(rows: Rows, file: Stream) -> None:
    mark = b"[\n"
    for where, row in rows:
        file.write(mark + _encoded(_text(row, where), where))
        mark = b",\n"
    file.write(b"\n]\n")


def _columns(rows: list[tuple[str, dict[str, Any]]]) -> list[str]:
    return list(dict.fromkeys(name for _, row in rows for name in row))


def _cell(value: Any, column: str, where: str) -> str:
    if value is None:
        return ""
    if column == "prompt" and value == []:
        raise DataError("CSV cannot hold an empty prompt", where=where, remedy="Write .jsonl.")
    if not isinstance(value, str):
        return _text(value, where)
    if looks_like_turns(value):
        raise DataError(
            f"column `{column}` holds text that CSV could not tell from turns", where=where, remedy="Write .jsonl."
        )
    return value


def _csv(rows: Rows, file: Stream) -> None:
    kept = list(rows)
    columns = _columns(kept)
    for where, cells in (("the header", columns), *((w, [_cell(r.get(c), c, w) for c in columns]) for w, r in kept)):
        line = io.StringIO(newline="")
        csv.writer(line, lineterminator="\n").writerow(cells)
        file.write(_encoded(line.getvalue(), where))


def _parquet(rows: Rows, file: Stream) -> None:
    import pyarrow
    import pyarrow.parquet

    kept = list(rows)
    column = ""
    try:
        arrays = {}
        for column in _columns(kept):
            arrays[column] = pyarrow.array([row.get(column) for _, row in kept])
        pyarrow.parquet.write_table(pyarrow.table(arrays), file)
    except (pyarrow.ArrowException, UnicodeEncodeError, OverflowError, TypeError) as error:
        raise DataError(
            f"Parquet cannot hold column `{column}`: {str(error).splitlines()[0]}",
            remedy="Parquet wants one type in a column. Write .jsonl, or drop the column.",
        ) from None


_WRITERS: dict[str, Callable[[Rows, Stream], None]] = {
    ".jsonl": _jsonl,
    ".ndjson": _jsonl,
    ".json": _json,
    ".csv": _csv,
    ".parquet": _parquet,
}
