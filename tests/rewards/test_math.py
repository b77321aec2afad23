"""Is the final answer of a solution the reference?"""

from __future__ import annotations

import importlib.util
import threading
import time
from typing import Any

import pytest

from truing.errors import DataError, RecipeError
from truing.rewards.math import Math


@pytest.fixture(scope="module")
def judge() -> Math:
    return Math(seconds=1)


def of(judge: Math, reference: Any, *solutions: str) -> list[float | None]:
    return judge([""] * len(solutions), list(solutions), answer=[reference] * len(solutions))


def test_a_worked_reference_of_gsm8k_is_compared_by_what_follows_its_mark(judge: Math) -> None:
    reference = "Natalia sold 48/2 = <<48/2=24>>24 clips in May.\n#### 72"
    assert of(judge, reference, "#### 72", "so 72 clips", "\\boxed{72.0}", "The answer is 24.", "none") == [
        1,
        1,
        1,
        0,
        0,
    ]


@pytest.mark.parametrize(
    ("reference", "answer"),
    [
        (r"\frac{3}{4}", "0.75"), (r"\frac{3}{4}", r"\dfrac{6}{8}"), ("3\\sqrt{13}", "\\sqrt{117}"),
        ("p - q", "-q + p"),
        ("x^3+3x-6", "3x - 6 + x^3"), ("1,-2", "-2, 1"), (r"3 \pm 2 \sqrt{2}", r"3+2\sqrt{2}, 3-2\sqrt{2}"),
        ("(3,4]", "(3, 4]"), (r"\left( 3, \frac{\pi}{2} \right)", "(3, \\pi/2)"), (r"x \in [-2,7]", "[-2, 7]"),
        (r"\text{(C)}", "C"), (r"\text{east}", "east"), (r"\text{east}", r"\text{East}"), ("4210_{5}", "4210_5"),
        ("288 \\pi", "288\\pi"),
        (r"\begin{pmatrix} -7 \\ 16 \\ 5 \end{pmatrix}", r"\begin{pmatrix}-7\\16\\5\end{pmatrix}"),
        ("6 - 5i", "-5i + 6"), ("90", "90^\\circ"), (r"\$18.90", "18.9"), ("58,500", "58500"), ("5", "x = 5"),
        ("15", "15 \\text{ cm}^2"), (r"\frac{1}{8}", "12.5\\%"), ("10", "\\frac{20}{2}"),
    ],
)  # fmt: skip
def test_the_same_answer_in_other_words_is_right(judge: Math, reference: str, answer: str) -> None:
    assert of(judge, reference, f"So it is $\\boxed{{{answer}}}$.") == [1]


@pytest.mark.parametrize(
    ("reference", "answer"),
    [
        ("5", "5 \\text{ or } 6"), ("5", "5, 6"), ("5", "6, 5"), ("2", "2k"), ("2k", "2"), ("(3,4]", "(3,4)"),
        (r"\text{east}", "seat"), (r"\text{east}", r"\text{west}"), ("\\sqrt{53}", "7.28"), ("(1, 2)", "(2, 1)"),
        ("\\frac{1}{2}", "\\frac{1}{3}"), ("x+1", "x-1"), ("5", "-5"), (r"\text{(C)}", "A, B, C"), ("12", "1{2"),
    ],
)  # fmt: skip
def test_another_answer_is_wrong(judge: Math, reference: str, answer: str) -> None:
    assert of(judge, reference, f"So it is $\\boxed{{{answer}}}$.") == [0]


HOSTILE = ["9^{9^{9^{9}}}", "9**9**9**9", "{" * 400 + "x" + "}" * 400, "__import__('os').getcwd()"]
MORE = [
    "10^{10^{8}}", "(10^6)!", "\\sum_{k=1}^{10^9} k^k", "(x+y+z+1)^{5000}", "(" * 400 + "x" + ")" * 400,
    "\\frac{1}{" * 90 + "x" + "}" * 90, "\\int_0^1 \\sin(\\tan(x^{x^x})) dx",
]  # fmt: skip


@pytest.mark.parametrize("answer", [*HOSTILE, *(pytest.param(one, marks=pytest.mark.slow) for one in MORE)])
def test_a_hostile_answer_is_wrong_and_soon(judge: Math, answer: str) -> None:
    here, start = time.process_time(), time.monotonic()
    assert of(judge, "5", f"\\boxed{{{answer}}}") == [0]
    assert time.process_time() - here < 1, "none of it is worked out here"
    assert time.monotonic() - start < 30, "a busy machine, too"


def test_a_judge_that_was_attacked_still_judges(judge: Math) -> None:
    assert of(judge, "\\sqrt{2}", "\\boxed{9^{9^{9^{9}}}}", "\\boxed{2^{1/2}}") == [0, 1]


def test_it_judges_in_a_thread(judge: Math) -> None:
    found: list[float | None] = []
    thread = threading.Thread(target=lambda: found.extend(of(judge, "\\sqrt{8}", "\\boxed{2\\sqrt{2}}")))
    thread.start()
    thread.join()
    assert found == [1]


def test_several_processes_judge_at_once_and_in_order() -> None:
    judge = Math(workers=2)
    roots = [f"\\sqrt{{{n}}}" for n in (2, 3, 5, 6)]
    solutions = [f"\\boxed{{{n}^{{1/2}}}}" for n in (2, 3, 5, 7)]
    assert judge([""] * 4, solutions, answer=roots) == [1, 1, 1, 0]
    assert judge._idle.qsize() == 2


def test_a_form_can_be_asked_for() -> None:
    assert of(Math(form="boxed"), "5", "\\boxed{5}", "The answer is 5") == [1, 0]


def test_a_row_without_a_reference_has_no_reward(judge: Math) -> None:
    assert judge(["", ""], ["5", "5"], answer=[None, 5]) == [None, 1]
    assert of(judge, 0.25, "1/4") == [1]


@pytest.mark.parametrize("cell", ["", "  ", True, ["5"], {"a": 1}])
def test_a_reference_that_is_none_is_refused(judge: Math, cell: Any) -> None:
    with pytest.raises(DataError, match="column `answer`"):
        of(judge, cell, "5")


def test_numbers_alone_need_no_process() -> None:
    plain = Math(symbolic=False)
    assert of(plain, "#### 1,000", "1000", "\\boxed{999}", "\\boxed{10^3}") == [1, 0, 0]
    assert plain._processes[0]._process is None
    with pytest.raises(DataError, match=r"`symbolic: false`.*truing\[math\]"):
        of(plain, "\\sqrt{2}", "2")


def test_without_math_verify_it_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None)
    with pytest.raises(RecipeError, match=r'pip install "truing\[math\]"'):
        Math()
    assert of(Math(symbolic=False), "5", "5") == [1]
