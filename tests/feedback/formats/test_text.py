"""Plain text."""

from __future__ import annotations

from typing import Any

from truing.feedback.formats import FORMATS, sniff
from truing.group import Group, Prompt, Response


def read(row: dict[str, Any]) -> Group:
    return sniff(row, "f:1").read(row, "f:1")


def test_text_is_continued_from_nothing() -> None:
    group = read({"text": "Once upon a time", "source": "web"})
    assert group == Group(Prompt(), (Response.of("Once upon a time"),), columns={"source": "web"})
    assert FORMATS["text"].write(group) == {"text": "Once upon a time", "source": "web"}
