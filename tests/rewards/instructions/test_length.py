"""Where sentences end."""

from __future__ import annotations

import pytest

from truing.rewards.instructions.length import sentences


@pytest.mark.parametrize(
    ("text", "count"),
    [
        ("", 0), ("...", 0), ("No end", 1), ("One. Two! Three?", 3), ("Really?! Yes...", 2),
        ("Mr. Smith met Dr. Who at 3.30 p.m. sharp.", 1), ("J. S. Bach wrote it.", 1),
        ("See e.g. fig. 2, i.e. here.", 1),
        ('He said "no." Then he left.', 2), ("1. First.\n2. Second.", 2), ("* one\n* two", 1), ("他走了。她来了!", 2),
        ("v1.2.3 is out. Get it!", 2), ("(It is.) So there.", 2), ("**Bold.** Plain.", 2),
    ],
)  # fmt: skip
def test_sentences_are_counted(text: str, count: int) -> None:
    assert sentences(text) == count
