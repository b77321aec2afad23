"""The screen's order and the item's own."""

from __future__ import annotations

from typing import Any

import pytest

from truing.studio.web.orders import to_shown, to_stored


def test_what_was_shown_first_is_stored_where_it_belongs() -> None:
    # Shown: response 2, response 0, response 1.
    assert to_stored({"ranks": [1, 2, None], "comment": "c"}, (2, 0, 1)) == {"ranks": [2, None, 1], "comment": "c"}


def test_a_pair_that_was_turned_is_turned_back() -> None:
    assert to_stored({"choice": "first", "strength": 2}, (1, 0)) == {"choice": "second", "strength": 2}
    assert to_stored({"choice": "first"}, (0, 1)) == {"choice": "first"}
    assert to_stored({"choice": "tie"}, (1, 0)) == {"choice": "tie"}


@pytest.mark.parametrize(
    "answer",
    [
        {"ranks": [1, 2, 3]},
        {"labels": [True, None, False]},
        {"scores": {"a": [1, 2, 3], "b": [None, 4, 5]}},
        {"marks": [[1], [0, -1], []], "first_error": [None, 1, None]},
        {"texts": ["a", None, "c"], "edits": [None, "b", "c"]},
        {"turns": [1, 2, 3], "harm": 2},
        {"ranks": "nonsense"},
        {"ranks": [1]},
        {},
    ],
)
@pytest.mark.parametrize("order", [(0, 1, 2), (2, 0, 1), (1, 2, 0)])
def test_there_and_back_changes_nothing(answer: dict[str, Any], order: tuple[int, ...]) -> None:
    assert to_shown(to_stored(answer, order), order) == answer
