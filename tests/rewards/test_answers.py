"""The final answer of a solution, and numbers as people write them."""

from __future__ import annotations

import time
from fractions import Fraction

import pytest

from truing.rewards.answers import Number, final_answer, number, reference_answer, same_number


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        (r"First \boxed{3}, so \boxed{\frac{1}{2}} it is.", r"\frac{1}{2}"),
        (r"\boxed{\{1, 2\}}", r"\{1, 2\}"),
        (r"\fbox{7} and 8", "7"),
        (r"\boxed 7", "7"),
        ("16 - 3 = <<16-3=13>>13 eggs\n#### 1,234", "1,234"),
        ("She makes $18.\nA: 18", "18"),
        ("The answer is 18 dollars.", "18 dollars"),
        ("The answer is 18 dollars because she sells 9 eggs at $2 each.", "18 dollars"),
        ("**Final answer:** $\\frac{3}{4}$.", r"\frac{3}{4}"),
        ("The answer is approximately 3.14.", "3.14"),
        ("The answer is the number 12.", "12"),
        ("The answer is 5 or 6.", "5 or 6"),
        ("That is 3 boxes, so 12 in all, 7 left.", "7"),
        ("so it costs $1,250.50 today", "$1,250.50"),
        ("it fell by -3.5%", "-3.5%"),
        ("3 apples and 2k", "3"),
        ("<think>5, no, \\boxed{6}</think>The answer is 7", "7"),
        ("<think>a</think><answer>8</answer>", "8"),
        ("<think>it is \\boxed{6} and", None),
        (r"It is \boxed{12", None),
        ("no number here", None),
        ("", None),
    ],
)  # fmt: skip
def test_the_final_answer_is_found(text: str, answer: str | None) -> None:
    assert final_answer(text) == answer


def test_a_form_that_is_asked_for_is_the_only_one() -> None:
    text = "The answer is 3.\n#### 4"
    assert final_answer(text, "hash") == "4"
    assert final_answer(text, "phrase") == "3"
    assert final_answer(text, "boxed") is None
    assert final_answer("5", "phrase") is None
    assert final_answer("5", "hash") is None


@pytest.mark.parametrize(
    ("text", "answer"),
    [
        ("Natalia sold 48+24 = 72 clips.\n#### 72", "72"),
        ("x+1 for x > 2", "x+1 for x > 2"),
        (r"so $\boxed{9}$.", "9"),
        ("one\nA: 18", "18"),
        ("  ", None),
    ],
)
def test_a_reference_is_a_worked_solution_or_the_answer_alone(text: str, answer: str | None) -> None:
    assert reference_answer(text) == answer


@pytest.mark.parametrize(
    ("text", "value"),
    [
        ("72", 72), ("-7", -7), ("−7", -7), ("+7", 7), ("1,234,567", 1234567), ("10,\\!080", 10080),
        ("1{,}000", 1000), ("3.50", "7/2"), (".5", "1/2"), ("4.", 4), ("1e3", 1000), ("3/4", "3/4"), ("-3/4", "-3/4"),
        ("2 1/2", "5/2"), ("\\frac{3}{4}", "3/4"), ("\\dfrac34", "3/4"), ("\\frac 34", "3/4"), ("2\\frac{1}{2}", "5/2"),
        ("-\\frac{35}{9}", "-35/9"), ("$5", 5), ("\\$18.90", "189/10"), ("-$5", -5), ("£3", 3), ("$72$", 72),
        ("\\(72\\)", 72), ("x = 5", 5), ("5 km", 5), ("5km", 5), ("60 mph", 60), ("30^\\circ", 30), ("30°", 30),
        ("15\\mbox{ cm}^2", 15), ("864 \\text{ inches}^2", 864), ("5.4 \\text{ cents}", "27/5"),
        ("18 dollars per day", 18), ("3 million", 3000000), ("2 dozen eggs", 24), ("**42**", 42), ("42.", 42),
        ("5 m", 5),
    ],
)  # fmt: skip
def test_a_number_is_read_as_people_write_it(text: str, value: int | str) -> None:
    assert number(text) == Number(Fraction(value))


@pytest.mark.parametrize("text", ["72%", "72 %", "72\\%", "$72\\%$", "72 percent"])
def test_a_percentage_keeps_its_sign(text: str) -> None:
    assert number(text) == Number(Fraction(72), percent=True)


@pytest.mark.parametrize(
    "text",
    ["2k", "5 k", "2 x", "5 or 6", "5 and 6", "5, 6", "(5)", "5 pi", "2\\pi", "3 hours 20 minutes", "204_5", "5i",
     "1/0", "\\sqrt{2}", "two", "", "5 = 6", "5^2", "5!", "3 + 4", "1.2.3", "5\n6"],
)  # fmt: skip
def test_what_is_more_than_a_number_is_none(text: str) -> None:
    assert number(text) is None


@pytest.mark.parametrize(
    ("reference", "answer", "same"),
    [
        ("3/4", "0.75", True), ("1/3", "0.3333333", True), ("1/3", "0.333", False), ("1000000", "1000001", False),
        ("0.5", "50%", True), ("50", "50%", True), ("50%", "0.5", True), ("50%", "50", True), ("50%", "0.5%", False),
        ("50%", "5000%", False), ("7", "7.00", True), ("7", "-7", False), ("0", "0.0000001", False),
    ],
)  # fmt: skip
def test_numbers_are_the_same_whatever_they_look_like(reference: str, answer: str, same: bool) -> None:
    ours, theirs = number(reference), number(answer)
    assert ours is not None
    assert theirs is not None
    assert same_number(ours, theirs) is same


HOSTILE = [
    "answer is ", "9", "\\boxed{", "\\boxed{1}", "1,", "1/", " ", "answer ", "-", "$", "{", "####", "<think>",
    "</think>", "A:", "\n", "1.", "1 ", "*", "answer**", "\\frac{1}", "5 km ", "0.0.", "%1", "1e", "\\text{", "a=", "é",
]  # fmt: skip


@pytest.mark.parametrize("text", HOSTILE)
def test_a_hundred_thousand_characters_are_read_in_no_time(text: str) -> None:
    long = text * (100_000 // len(text))
    start = time.process_time()
    for one in (long, f"The answer is {long}", f"\\boxed{{{long}}}", f"#### {long}"):
        final_answer(one)
        reference_answer(one)
        number(one)
        number(one[:900])
    assert time.process_time() - start < 1
