"""Trees of ranked replies."""

from __future__ import annotations

from typing import Any

import pytest

from truing.errors import DataError
from truing.feedback import formats
from truing.feedback.formats.oasst import FORMAT
from truing.group import Message, Prompt, Ranking, Response


def said(role: str, text: str, *replies: dict[str, Any], **more: Any) -> dict[str, Any]:
    return {"role": role, "text": text, "replies": list(replies), **more}


TREE = {
    "message_tree_id": "t",
    "lang": "en",
    "prompt": said(
        "prompter",
        "Q",
        said("assistant", "good", said("prompter", "and?", said("assistant", "so", rank=0)), rank=0),
        said("assistant", "bad", rank=2, synthetic=True),
        said("assistant", "fair", rank=1),
        said("assistant", "late"),
        said("assistant", "gone", deleted=True, rank=3),
    ),
}


def test_every_answered_message_is_a_group_and_ranks_count_from_1() -> None:
    first, second = FORMAT.groups(TREE, "f:1")
    assert formats.recognised(TREE) is FORMAT
    assert first.prompt == Prompt.of("Q")
    assert [r.text for r in first.responses] == ["good", "bad", "fair", "late"]
    assert first.feedback == (Ranking((1, 3, 2, None)),)
    assert first.columns == {"message_tree_id": "t", "lang": "en", "synthetic": [False, True, False, False]}
    assert second.prompt == Prompt((Message("user", "Q"), Message("assistant", "good"), Message("user", "and?")))
    assert second.responses == (Response.of("so"),)
    assert second.feedback == (Ranking((1,)),)


def test_replies_without_any_rank_are_a_group_without_feedback() -> None:
    row = {"message_tree_id": "t", "prompt": said("prompter", "Q", said("assistant", "a"), said("assistant", "b"))}
    assert FORMAT.read(row, "f:1").feedback == ()


@pytest.mark.parametrize(
    ("message", "found"),
    [
        (said("prompter", "Q"), "no message of the tree is answered"),
        (said("human", "Q"), "the tree holds the message"),
        ({"role": "prompter", "text": "Q", "replies": "none"}, "a message has the replies 'none'"),
        (said("prompter", "Q", said("assistant", "a", rank=-1)), "a reply has the rank -1"),
        (said("prompter", "Q", said("assistant", " ")), "column `text` is empty"),
    ],
)
def test_what_is_no_tree_is_refused(message: dict[str, Any], found: str) -> None:
    with pytest.raises(DataError, match=found):
        FORMAT.groups({"message_tree_id": "t", "prompt": message}, "f:1")


def test_a_tree_that_goes_on_for_ever_is_refused() -> None:
    message = said("prompter", "Q")
    for depth in range(300):
        message = said(("assistant", "prompter")[depth % 2], "x", message)
    with pytest.raises(DataError, match="deeper than 200"):
        FORMAT.groups({"message_tree_id": "t", "prompt": message}, "f:1")
