"""JSON: an array of objects, or objects one after the other; never more of it in memory than an item."""

from __future__ import annotations

import io
import json
from collections.abc import Iterator
from typing import Any

from truing.errors import DataError
from truing.feedback.files.lines import MAX_ITEM, OnBad, Row, Stream
from truing.feedback.files.values import DECODER, bad_json, is_row
from truing.feedback.formats.cells import shown

__all__ = ["rows"]

_CHUNK = 1 << 16


def rows(stream: Stream, where: str, on_bad: OnBad) -> Iterator[tuple[str, Row]]:
    """An array of objects; or objects one after the other, as in JSON Lines that are called .json."""
    text = _Text(stream, where)
    try:
        first = text.next_character()
        if not first:
            return
        if first == "[":
            text.pass_over(1)
            yield from _array(text, on_bad)
            return
        place = text.place
        row = text.value()
        if not isinstance(row, dict) or text.next_character() != "{":
            columns = isinstance(row, dict) and row and all(isinstance(value, (list, dict)) for value in row.values())
            raise DataError(
                "the file is one object of columns, not rows" if columns else f"the file is {shown(row)}, not rows",
                where=where,
                remedy='Write an array of objects, [{"column": value}, ...], or one object a line as .jsonl '
                "(pandas: to_json(orient='records', lines=True)).",
            )
        yield place, row
        while text.next_character():
            place, row = text.place, text.value()
            if is_row(row, place, on_bad):
                yield place, row
    finally:
        text.stream.detach()  # or the wrapper would close a stream that is not its own


def _array(text: _Text, on_bad: OnBad) -> Iterator[tuple[str, Row]]:
    if text.next_character() == "]":
        return
    while True:
        text.next_character()
        place, row = text.place, text.value()
        if is_row(row, place, on_bad):
            yield place, row
        mark = text.next_character()
        if mark not in ("]", ","):
            found = f"{mark!r} where the array should go on" if mark else "the array does not end"
            raise DataError(found, where=text.place, remedy="The file is cut off or damaged: write it again.")
        text.pass_over(1)
        if mark == "]":
            break
    if text.next_character():
        raise DataError("there is more after the array", where=text.place, remedy="One array a file.")


class _Text:
    """A window over a stream of JSON text: what was read and not yet understood, and how many lines are behind."""

    def __init__(self, stream: Stream, where: str) -> None:
        self.stream = io.TextIOWrapper(stream, encoding="utf-8-sig", errors="strict", newline="\n")
        self.where, self.text, self.line, self.chunk, self.ended = where, "", 1, _CHUNK, False

    @property
    def place(self) -> str:
        return f"{self.where}:{self.line}"

    def more(self) -> bool:
        """Read on; False at the end."""
        try:
            read = self.stream.read(self.chunk)
        except UnicodeDecodeError:
            raise DataError("here or later a byte is not UTF-8", where=self.place, remedy="Save it as UTF-8.") from None
        self.text += read
        self.ended = not read
        return bool(read)

    def pass_over(self, number: int) -> None:
        self.line += self.text.count("\n", 0, number)
        self.text = self.text[number:]

    def next_character(self) -> str:
        """The next that is no white space, left in place; empty at the end."""
        while True:
            rest = self.text.lstrip()
            self.pass_over(len(self.text) - len(rest))
            if rest or not self.more():
                return self.text[:1]

    def value(self) -> Any:
        """The next JSON value. An error may only mean that its end is not read yet, so read on, twice as much each
        time; but an error far before the end of what was read stays one."""
        self.chunk = _CHUNK
        while True:
            try:
                found, end = DECODER.raw_decode(self.text)
            except (ValueError, RecursionError) as error:
                unfinished = isinstance(error, json.JSONDecodeError) and (
                    error.msg.startswith("Unterminated string") or error.pos > len(self.text) - 16
                )
                if unfinished and len(self.text) <= MAX_ITEM:
                    self.chunk = max(self.chunk, len(self.text))
                    if self.more():
                        continue
                raise self._fault(error) from None
            self.pass_over(end)
            return found

    def _fault(self, error: Exception) -> DataError:
        line = self.line
        if isinstance(error, json.JSONDecodeError):
            line += error.lineno - 1
        fault = bad_json(error, self.text, f"{self.where}:{line}")
        remedy = "The file is cut off: write it again." if self.ended else "Mend the file; JSON cannot be read past it."
        return DataError(fault.found, where=fault.where, remedy=remedy)
