"""JSON values, read strictly: no NaN, and a fault is said with its place."""

from __future__ import annotations

import json
from typing import Any, NoReturn, TypeGuard

from truing.errors import DataError
from truing.feedback.files.lines import OnBad, Row
from truing.feedback.formats.cells import shown

__all__ = ["DECODER", "bad_json", "is_row"]


def _no_constant(name: str) -> NoReturn:
    raise ValueError(f"{name} is not JSON")


DECODER = json.JSONDecoder(parse_constant=_no_constant)


def bad_json(error: Exception, text: str, where: str) -> DataError:
    """What is wrong with a text that the decoder refused, and near which of its characters."""
    if isinstance(error, json.JSONDecodeError):
        near_by = text[max(error.pos - 10, 0) : error.pos + 20]
        found = f"bad JSON: {error.msg} at character {error.pos + 1}, near {near_by!r}"
    else:
        found = f"bad JSON: {'nested too deeply' if isinstance(error, RecursionError) else error}"
    return DataError(found, where=where, remedy="Mend the row, or leave it out (--skip-bad does).")


def is_row(row: Any, place: str, on_bad: OnBad) -> TypeGuard[Row]:
    """Whether the value is an object; `on_bad` hears of what is none."""
    if isinstance(row, dict):
        return True
    on_bad(DataError(f"the item is {shown(row)}, not an object", where=place, remedy='A row is {"column": value}.'))
    return False
