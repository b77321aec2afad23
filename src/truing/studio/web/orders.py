"""Answers between the order that was shown and the item's own.

What speaks of responses one by one is a list with one entry for each, under one of the names below, or several such
lists by name. `order[place]` is the index of the response that was shown at that place.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

__all__ = ["to_shown", "to_stored"]

_PER_RESPONSE = frozenset({"ranks", "labels", "scores", "marks", "first_error", "texts", "edits"})
_SIDES = ("first", "second")


def to_stored(answer: Mapping[str, Any], order: Sequence[int]) -> dict[str, Any]:
    """From the order on the screen to the item's own. Half-filled drafts pass through as they are."""
    places = {index: place for place, index in enumerate(order)}
    return _moved(answer, [places[index] for index in range(len(order))])


def to_shown(answer: Mapping[str, Any], order: Sequence[int]) -> dict[str, Any]:
    """From the item's own order to the one on the screen."""
    return _moved(answer, list(order))


def _moved(answer: Mapping[str, Any], take: list[int]) -> dict[str, Any]:
    """Entry i of each list is taken from `take[i]`."""
    moved = dict(answer)
    for name in _PER_RESPONSE & moved.keys():
        value = moved[name]
        if isinstance(value, Mapping):
            moved[name] = {aspect: _taken(row, take) for aspect, row in value.items()}
        else:
            moved[name] = _taken(value, take)
    if moved.get("choice") in _SIDES and len(take) == 2:
        moved["choice"] = _SIDES[take.index(_SIDES.index(moved["choice"]))]
    return moved


def _taken(row: Any, take: list[int]) -> Any:
    # Of another length it is wrong, and the kind's own check says so better.
    return [row[i] for i in take] if isinstance(row, list) and len(row) == len(take) else row
