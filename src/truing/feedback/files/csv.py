"""CSV: the first line names the columns."""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator

from truing.errors import DataError
from truing.feedback.files.lines import MAX_ITEM, OnBad, Row, Stream, decoded, lines

__all__ = ["looks_like_turns", "rows"]


def rows(stream: Stream, where: str, on_bad: OnBad) -> Iterator[tuple[str, Row]]:
    # The limit is the process's; its default (128 kB) is shorter than a long dialogue.
    csv.field_size_limit(MAX_ITEM)
    behind = 0

    def texts() -> Iterator[str]:
        for number, line in lines(stream, where):
            yield decoded(line, f"{where}:{number}")

    reader = csv.reader(texts(), strict=True)
    try:
        header = next(reader, None)
        if header is None:
            return
        _check_header(header, where)
        behind = reader.line_num
        for cells in reader:
            place, behind = f"{where}:{behind + 1}", reader.line_num
            if not cells:
                continue
            if len(cells) != len(header):
                on_bad(
                    DataError(
                        f"the row has {len(cells)} cells and the header {len(header)}",
                        where=place,
                        remedy="Cells with commas, quotes or line breaks stand in double quotes.",
                    )
                )
                continue
            values = (json.loads(cell) if looks_like_turns(cell) else cell for cell in cells)
            yield place, dict(zip(header, values, strict=True))
    except csv.Error as error:
        raise DataError(f"bad CSV: {error}", where=f"{where}:{behind + 1}", remedy="Check the quotes.") from None


def _check_header(header: list[str], where: str) -> None:
    twice = sorted({name for name in header if header.count(name) > 1})
    if twice or not all(name.strip() for name in header):
        found = f"the header names `{twice[0]}` twice" if twice else "the header has a column without a name"
        raise DataError(found, where=f"{where}:1", remedy="The first line names the columns, each once.")


def looks_like_turns(value: str) -> bool:
    """CSV holds only text: a cell that is a JSON list of turns is meant as one."""
    if not value.startswith("[") or '"role"' not in value:
        return False
    try:
        found = json.loads(value)
    except (ValueError, RecursionError):
        return False
    return bool(found) and all(isinstance(turn, dict) and {"role", "content"} <= set(turn) for turn in found)
