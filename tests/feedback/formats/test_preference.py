"""TRL's pairs, standard and conversational, with and without a prompt."""

from __future__ import annotations

from typing import Any

import pytest

from truing.errors import DataError
from truing.feedback.formats import sniff
from truing.feedback.formats.preference import FORMAT
from truing.group import Group, Message, Prompt, Ranking, Response

USER = {"role": "user", "content": "Hi"}
GOOD, BAD = {"role": "assistant", "content": "Hello"}, {"role": "assistant", "content": "What?"}
PAIR = Group(Prompt.of("Hi"), (Response.of("Hello"), Response.of("What?")), (Ranking((1, 2)),))


@pytest.mark.parametrize(
    "row",
    [
        {"prompt": "Hi", "chosen": "Hello", "rejected": "What?"},
        {"prompt": [USER], "chosen": [GOOD], "rejected": [BAD]},
        {"prompt": [USER], "chosen": "Hello", "rejected": [BAD]},
        {"chosen": [USER, GOOD], "rejected": [USER, BAD]},
        {"prompt": "Hi", "chosen": [USER, GOOD], "rejected": [USER, BAD]},  # the prompt is there twice
        {"prompt": None, "chosen": [USER, GOOD], "rejected": [USER, BAD]},
    ],
)
def test_all_spellings_of_a_pair_are_the_same_group(row: dict[str, Any]) -> None:
    assert sniff(row, "f:1") is FORMAT
    assert FORMAT.read(row, "f:1") == PAIR


def test_what_is_written_is_conversational() -> None:
    assert FORMAT.write(PAIR) == {"prompt": [USER], "chosen": [GOOD], "rejected": [BAD]}


def test_strength_margin_annotator_and_other_columns_are_kept() -> None:
    row = {
        "prompt": [USER], "chosen": [GOOD], "rejected": [BAD],
        "strength": 0.8, "margin": 2.0, "annotator_id": "ann", "tools": [{"name": "f"}], "score_chosen": 7,
    }  # fmt: skip
    group = FORMAT.read(row, "f:1")
    assert group.feedback == (Ranking((1, 2), strength=0.8, margin=2.0, annotator_id="ann"),)
    assert group.columns == {"tools": [{"name": "f"}], "score_chosen": 7}
    assert FORMAT.write(group) == row


def test_equal_answers_are_a_tie() -> None:
    assert FORMAT.read({"prompt": "Hi", "chosen": "a", "rejected": "a"}, "f:1").feedback == (Ranking((1, 1)),)


def test_the_better_one_is_written_as_chosen() -> None:
    turned = Group(PAIR.prompt, PAIR.responses[::-1], (Ranking((2, 1)),))
    assert FORMAT.write(turned) == FORMAT.write(PAIR)


@pytest.mark.parametrize("ranks", [(1, 1), (1, None), (None, None)])
def test_a_tie_of_different_answers_cannot_be_written(ranks: tuple[int | None, ...]) -> None:
    with pytest.raises(DataError, match="does not fit format `preference`"):
        FORMAT.write(Group(PAIR.prompt, PAIR.responses, (Ranking(ranks),)))


def test_a_ranking_of_three_is_told_to_become_pairs() -> None:
    three = Group(PAIR.prompt, (*PAIR.responses, Response.of("x")), (Ranking((1, 2, 3)),))
    with pytest.raises(DataError, match="--to pairs"):
        FORMAT.write(three)


def test_an_empty_answer_in_turns_was_judged_and_a_blank_cell_is_missing() -> None:
    empty = [{"role": "assistant", "content": ""}]
    assert FORMAT.read({"prompt": "Hi", "chosen": [GOOD], "rejected": empty}, "f:1").responses[1].text == ""
    with pytest.raises(DataError, match="column `rejected` is empty"):
        FORMAT.read({"prompt": "Hi", "chosen": "Hello", "rejected": ""}, "f:1")


def test_conversations_that_part_early_share_the_prompt_before() -> None:
    more = [{"role": "user", "content": "And?"}, {"role": "assistant", "content": "So."}]
    group = FORMAT.read({"chosen": [USER, GOOD, *more], "rejected": [USER, BAD]}, "f:1")
    assert group.prompt == Prompt.of("Hi")
    assert [len(r.messages) for r in group.responses] == [3, 1]


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ({"chosen": [USER, GOOD], "rejected": "What?"}, "there is no column `prompt`"),
        ({"chosen": [GOOD], "rejected": [BAD]}, "share no turn that an assistant answers"),
        ({"chosen": [USER, GOOD], "rejected": [{**USER, "content": "Ho"}, BAD]}, "share no turn"),
        ({"prompt": "Ho", "chosen": [USER, GOOD], "rejected": [BAD]}, "the first turn of `chosen` is the user's"),
        ({"prompt": "Hi", "chosen": "a"}, "there is no column `rejected`"),
        ({"prompt": "Hi", "chosen": "a", "rejected": 3}, "`rejected` holds 3"),
        ({"prompt": "Hi", "chosen": "a", "rejected": "b", "strength": 0.2}, "strength 0.2 is outside"),
        ({"prompt": "Hi", "chosen": "a", "rejected": "b", "margin": "big"}, "`margin` holds 'big'"),
        ({"prompt": "Hi", "chosen": [USER], "rejected": [USER]}, "list of turns"),
    ],
)
def test_a_bad_row_is_refused(row: dict[str, Any], message: str) -> None:
    with pytest.raises(DataError, match=message) as caught:
        FORMAT.read(row, "f:1")
    assert caught.value.where == "f:1"


def test_the_prompt_may_be_many_turns() -> None:
    asked = [USER, GOOD, {"role": "user", "content": "Well?"}]
    group = FORMAT.read({"prompt": asked, "chosen": "a", "rejected": "b"}, "f:1")
    assert group.prompt.messages[-1] == Message("user", "Well?")
