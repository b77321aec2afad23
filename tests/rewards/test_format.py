"""Tags around thought and answer."""

from __future__ import annotations

import time

import pytest

from truing.rewards.format import format_reward, keeps_format, parse_thought

GOOD = "<think>2 + 2 is 4</think>\n<answer>4</answer>"


@pytest.mark.parametrize(
    ("text", "thought", "answer"),
    [
        (GOOD, "2 + 2 is 4", "4"),
        ("<think>a</think> so 4", "a", "so 4"),
        ("a</think>4", "a", "4"),
        ("just 4", "", "just 4"),
        ("<answer>4</answer> bye", "", "4"),
        ("<think>never ends", "never ends", ""),
        ("<think>a</think>b</think>c", "a</think>b", "c"),
        ("<think><answer>3</answer></think><answer>4</answer>", "<answer>3</answer>", "4"),
        ("<think></think>", "", ""),
        ("", "", ""),
    ],
)
def test_a_response_is_parted_into_thought_and_answer(text: str, thought: str, answer: str) -> None:
    assert parse_thought(text) == (thought, answer)


def test_other_tags_may_be_used() -> None:
    assert parse_thought("<r>a</r><s>4</s>", think="r", answer="s") == ("a", "4")


@pytest.mark.parametrize(
    "text",
    [
        "4", "<think>a</think>4", "<answer>4</answer><think>a</think>", "<think></think><answer>4</answer>",
        "<think>a</think><answer> </answer>", "Well, " + GOOD, GOOD + " bye", GOOD + GOOD, "<think>" + GOOD,
        "<think>a<answer>4</answer></think>", "<think>a<answer></think>4</answer>", "<think>a</think><answer>4",
        "<Think>a</Think><answer>4</answer>", "</think>a<think><answer>4</answer>", "",
    ],
)  # fmt: skip
def test_what_does_not_keep_to_the_tags_is_seen(text: str) -> None:
    assert not keeps_format(text)
    assert format_reward([""], [text]) == [0]


def test_what_keeps_to_the_tags_earns_1() -> None:
    assert format_reward(["", ""], [GOOD, f"\n {GOOD}\n"]) == [1, 1]
    assert format_reward([""], ["<a>x</a>"], tags=["a"]) == [1]


def test_a_template_may_have_opened_the_first_tag() -> None:
    rest = GOOD.removeprefix("<think>")
    assert format_reward([""], [rest]) == [0]
    assert format_reward(["", ""], [rest, GOOD], opened=True) == [1, 0]


def test_partly_right_earns_half_its_share_of_the_tags() -> None:
    # 3 of 4 tags exactly once; 2 of 4; 4 of 4, in the wrong order; none
    texts = ["<think>a</think><answer>4", "<think>a</think>4", "<answer>4</answer><think>a</think>", "4", GOOD]
    assert format_reward([""] * 5, texts, partial=True) == [0.375, 0.25, 0.5, 0, 1]


@pytest.mark.parametrize("text", ["<think>", "</think>", "<", "<answer>", "<think></think>"])
def test_a_hundred_thousand_characters_are_read_in_no_time(text: str) -> None:
    long = text * (100_000 // len(text))
    start = time.process_time()
    parse_thought(long)
    format_reward([""], [long], partial=True)
    assert time.process_time() - start < 1
