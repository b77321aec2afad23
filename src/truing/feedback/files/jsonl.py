"""JSON Lines: an object a line."""

from __future__ import annotations

from collections.abc import Iterator

from truing.errors import DataError
from truing.feedback.files.lines import OnBad, Row, Stream, decoded, lines
from truing.feedback.files.values import DECODER, bad_json
from truing.feedback.formats.cells import shown

__all__ = ["rows"]


def rows(stream: Stream, where: str, on_bad: OnBad) -> Iterator[tuple[str, Row]]:
    for number, line in lines(stream, where):
        if line.isspace():
            continue
        place = f"{where}:{number}"
        try:
            text = decoded(line, place).rstrip()
            try:
                row = DECODER.decode(text)
            except (ValueError, RecursionError) as error:
                if number == 1 and text.lstrip().startswith("["):
                    raise _is_array(place) from None
                raise bad_json(error, text, place) from None
            if isinstance(row, list) and number == 1:
                raise _is_array(place)
            if not isinstance(row, dict):
                raise DataError(
                    f"the line is {shown(row)}, not an object", where=place, remedy='A row is {"column": value, ...}.'
                )
        except DataError as error:
            on_bad(error)
            continue
        yield place, row


def _is_array(where: str) -> DataError:
    return DataError("the file is a JSON array, not JSON Lines", where=where, remedy="Rename it to .json.")
