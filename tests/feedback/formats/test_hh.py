"""Transcripts of hh-rlhf."""

from __future__ import annotations

import pytest

from truing.errors import DataError
from truing.feedback.formats import sniff
from truing.feedback.formats.hh import FORMAT
from truing.group import Group, Message, Prompt, Ranking, Response

ASKED = "\n\nHuman: Hi\n\nAssistant: Hello\n\nHuman: How?"


def test_a_pair_shares_all_but_the_last_turn() -> None:
    row = {"chosen": f"{ASKED}\n\nAssistant: So.", "rejected": f"{ASKED}\n\nAssistant:  No. "}
    assert sniff(row, "f:1") is FORMAT
    group = FORMAT.read(row, "f:1")
    turns = (Message("user", "Hi"), Message("assistant", "Hello"), Message("user", "How?"))
    assert group == Group(Prompt(turns), (Response.of("So."), Response.of("No.")), (Ranking((1, 2)),))


def test_a_pair_that_parts_earlier_has_responses_of_several_turns() -> None:
    row = {"chosen": f"{ASKED}\n\nAssistant: So.", "rejected": "\n\nHuman: Hi\n\nAssistant: What?"}
    group = FORMAT.read(row, "f:1")
    assert group.prompt == Prompt.of("Hi")
    assert [[m.content for m in r.messages] for r in group.responses] == [["Hello", "How?", "So."], ["What?"]]


def test_an_equal_pair_is_a_tie_of_the_last_turns() -> None:
    row = {"chosen": f"{ASKED}\n\nAssistant: So.", "rejected": f"{ASKED}\n\nAssistant: So."}
    group = FORMAT.read(row, "f:1")
    assert group.feedback == (Ranking((1, 1)),)
    assert group.responses == (Response.of("So."), Response.of("So."))
    assert FORMAT.read(FORMAT.write(group), "f:1") == group


def test_a_turn_that_speaks_twice_belongs_to_the_response() -> None:
    # The prompt must end with somebody else, or the template would open a turn that is open already.
    row = {"chosen": f"{ASKED}\n\nAssistant: A\n\nAssistant: B", "rejected": f"{ASKED}\n\nAssistant: A\n\nAssistant: C"}
    group = FORMAT.read(row, "f:1")
    assert group.prompt.messages[-1] == Message("user", "How?")
    assert [r.text for r in group.responses] == ["A\n\nB", "A\n\nC"]


def test_the_last_answer_may_be_empty() -> None:
    row = {"chosen": f"{ASKED}\n\nAssistant:", "rejected": f"{ASKED}\n\nAssistant: So."}
    assert FORMAT.read(row, "f:1").responses[0] == Response.of("")


def test_a_marker_inside_a_line_is_text() -> None:
    row = {"chosen": f"{ASKED}\n\nAssistant: See Human: x", "rejected": f"{ASKED}\n\nAssistant: So."}
    assert FORMAT.read(row, "f:1").responses[0].text == "See Human: x"


@pytest.mark.parametrize(
    ("chosen", "rejected", "message"),
    [
        ("Hello", "What?", "the transcript in `chosen` begins with 'Hello'"),
        ("\n\nAssistant: Hello", "\n\nAssistant: What?", "begins with"),
        (f"{ASKED}\n\nAssistant: a", "Well " + ASKED, "the transcript in `rejected`"),
        ("\n\nHuman: a\n\nAssistant: b", "\n\nHuman: c\n\nAssistant: d", "share no turn"),
        ("\n\nHuman: a", "\n\nHuman: a", "share no turn"),
        ("", "\n\nHuman: a", "column `chosen` is empty"),
    ],
)
def test_text_that_is_no_pair_of_transcripts_is_refused(chosen: str, rejected: str, message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        FORMAT.read({"chosen": chosen, "rejected": rejected}, "f:1")
    assert caught.value.remedy is not None


@pytest.mark.parametrize("text", ["a\n\nHuman: b", " a", "a\n"])
def test_an_answer_that_a_transcript_would_change_is_not_written(text: str) -> None:
    group = Group(Prompt.of("Hi"), (Response.of(text), Response.of("b")), (Ranking((1, 2)),))
    with pytest.raises(DataError, match="does not fit format `hh`"):
        FORMAT.write(group)
