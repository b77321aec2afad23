"""Streams of bytes, their lines, and what becomes of a row that cannot be read."""

from __future__ import annotations

import gzip
from collections.abc import Callable, Iterator
from typing import IO, Any, NoReturn

from truing.errors import DataError

__all__ = ["MAX_ITEM", "OnBad", "Row", "Stream", "decoded", "lines", "refuse"]

Row = dict[str, Any]
OnBad = Callable[[DataError], None]
Stream = IO[bytes] | gzip.GzipFile

MAX_ITEM = 64 * 2**20
"""Bytes of the longest line or object. No row of text is longer; a file without line ends or a gzip bomb is."""


def refuse(error: DataError) -> NoReturn:
    """The first bad row ends the reading."""
    raise error


def lines(stream: Stream, where: str) -> Iterator[tuple[int, bytes]]:
    """(number, line), no line longer than `MAX_ITEM`."""
    number = 0
    while line := stream.readline(MAX_ITEM + 1):
        number += 1
        if len(line) > MAX_ITEM:
            raise DataError(
                f"the line is longer than {MAX_ITEM >> 20} MiB",
                where=f"{where}:{number}",
                remedy="Is it what its name says? JSON Lines has one object a line.",
            )
        yield number, line.removeprefix(b"\xef\xbb\xbf") if number == 1 else line


def decoded(line: bytes, where: str) -> str:
    """The line as text; `DataError` where it is not UTF-8."""
    try:
        return line.decode()
    except UnicodeDecodeError as error:
        raise DataError(
            f"byte {error.start + 1} of the line, {line[error.start : error.start + 1]!r}, is not UTF-8",
            where=where,
            remedy="Save the file as UTF-8.",
        ) from None
