"""Thumbs."""

from __future__ import annotations

from typing import Any

import pytest

from truing.errors import DataError
from truing.feedback.formats import sniff
from truing.group import Group, Labels, Prompt, Response


def read(row: dict[str, Any]) -> Group:
    return sniff(row, "f:1").read(row, "f:1")


def refusal(row: dict[str, Any]) -> str:
    with pytest.raises(DataError) as caught:
        read(row)
    assert caught.value.where == "f:1"
    assert caught.value.remedy is not None
    return str(caught.value)


@pytest.mark.parametrize(("label", "value"), [(True, True), (False, False), (1, True), ("false", False)])
def test_a_thumb_is_up_or_down(label: Any, value: bool) -> None:
    group = read({"prompt": "Hi", "completion": "Hello", "label": label, "annotator_id": 3})
    assert group == Group(Prompt.of("Hi"), (Response.of("Hello"),), (Labels((value,), "3"),))


@pytest.mark.parametrize("label", [None, "", 2, "good", 0.5])
def test_another_label_is_refused(label: Any) -> None:
    assert "`label`" in refusal({"prompt": "Hi", "completion": "Hello", "label": label})
