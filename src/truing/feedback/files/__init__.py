"""Rows of files, streamed: JSON Lines, JSON, CSV and Parquet, each also gzipped. The ending says which; one file each.

    rows(Path("pairs.jsonl.gz")) -> ("pairs.jsonl.gz:1", {"prompt": ..., "chosen": ..., "rejected": ...}), ...

Files are hostile: nothing is read whole, no line or object may be longer than `MAX_ITEM`, and whatever is wrong is a
`DataError` with file and line. Only a Parquet file that is gzipped is unpacked first, into a temporary file.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Callable, Iterator
from pathlib import Path

from truing.errors import DataError
from truing.feedback.files import csv, json, jsonl, parquet
from truing.feedback.files.lines import MAX_ITEM, OnBad, Row, Stream, refuse

__all__ = ["ENDINGS", "MAX_ITEM", "OnBad", "Row", "Stream", "container", "known_container", "refuse", "rows"]

ENDINGS: dict[str, Callable[[Stream, str, OnBad], Iterator[tuple[str, Row]]]] = {
    ".jsonl": jsonl.rows,
    ".ndjson": jsonl.rows,
    ".json": json.rows,
    ".csv": csv.rows,
    ".parquet": parquet.rows,
}
"""How to read what is inside, by ending."""


def container(path: Path) -> tuple[str | None, bool]:
    """(ending without .gz, is it gzipped); None for an ending that nobody reads."""
    endings = [ending.lower() for ending in path.suffixes]
    zipped = endings[-1:] == [".gz"]
    if zipped:
        endings.pop()
    return (endings[-1] if endings and endings[-1] in ENDINGS else None), zipped


def known_container(path: Path) -> tuple[str, bool]:
    """`container`, or a `DataError` that says which endings there are."""
    ending, zipped = container(path)
    if ending is None:
        raise DataError(
            f"the ending {''.join(path.suffixes[-2:]) or '(none)'} says nothing about what is inside",
            where=str(path),
            remedy=f"Rename it to one of {', '.join(ENDINGS)}, each also with .gz.",
        )
    return ending, zipped


def rows(path: Path, on_bad: OnBad = refuse) -> Iterator[tuple[str, Row]]:
    """(where, row) one after the other. `on_bad` hears of each that cannot be read; if it returns, it is left out. What
    breaks the file itself is always raised."""
    ending, zipped = known_container(path)
    where = str(path)
    try:
        with path.open("rb") as raw:
            if not zipped and raw.peek(2)[:2] == b"\x1f\x8b":
                raise DataError("the file is gzipped, and its name does not say so", where=where, remedy="Add .gz.")
            if not zipped:
                yield from ENDINGS[ending](raw, where, on_bad)
                return
            with gzip.open(raw, "rb") as unzipped:
                yield from ENDINGS[ending](unzipped, where, on_bad)
    except EOFError:
        raise DataError(
            "the gzip ends in the middle", where=where, remedy="It was cut off: download or write it again."
        ) from None
    except (gzip.BadGzipFile, zlib.error) as error:
        raise DataError(
            f"the gzip cannot be unpacked ({error})", where=where, remedy="Is it a gzip? Otherwise write it again."
        ) from None
    except OSError as error:
        raise DataError(f"it cannot be read ({error.strerror or error})", where=where) from None
