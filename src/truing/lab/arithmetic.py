"""Word problems of one to three additions and subtractions, ways to solve them, and the check of a solution."""

from __future__ import annotations

import re
import zlib
from collections.abc import Mapping
from dataclasses import replace
from random import Random

from truing.errors import UserError
from truing.lab.calculation import Step, chain
from truing.lab.request import ARITHMETIC, Request

__all__ = ["SOLUTION_MIX", "final_number", "math_reward", "solution", "training_problem", "word_problems"]

SOLUTION_MIX: Mapping[str, float] = {"direct": 0.5, "chain": 0.3, "sloppy": 0.2}
"""Shares among demonstrations: half say only the result, which a small model cannot learn to guess; three tenths work
it out. With fewer chains than that reinforcement learning finds nothing to reinforce."""

_LARGEST = 12
_CEILING = 42
_NAMES = ("Tom", "Ana", "Sam", "Mia", "Leo", "Eva", "Ben", "Zoe")
_THINGS = ("apples", "coins", "books", "shells", "pens", "cards", "stamps", "marbles")
_GAINS = ("buys {} more", "finds {} more", "gets {} more")
_LOSSES = ("gives away {}", "loses {}", "sells {}")
_FINAL = re.compile(r"The answer is (-?\d{1,6})\.")


def _word_problem(rng: Random, num_operations: int) -> Request:
    """A story whose numbers stay between 1 and 42."""
    name, things = rng.choice(_NAMES), rng.choice(_THINGS)
    start = value = rng.randint(2, _LARGEST)
    events, calculation = [], str(start)
    for _ in range(num_operations):
        loses = (value >= 4 and rng.random() < 0.45) or value + _LARGEST > _CEILING
        number = rng.randint(1, min(value - 1, _LARGEST) if loses else _LARGEST)
        value += -number if loses else number
        events.append(rng.choice(_LOSSES if loses else _GAINS).format(number))
        calculation += f" {'-' if loses else '+'} {number}"
    text = f"{name} has {start} {things}. {name} {', then '.join(events)}. How many {things} now?"
    return Request(ARITHMETIC, calculation, text)


def _split_of(text: str) -> str:
    """By a checksum of the story, so that the splits stay apart however many problems are drawn."""
    tenth = zlib.crc32(text.encode()) % 10
    return "test" if tenth < 2 else "dev" if tenth == 2 else "train"


def word_problems(split: str, num: int, seed: int = 0) -> list[Request]:
    """`num` different problems of train, dev or test, two thirds with two operations and one third with three."""
    if split not in ("train", "dev", "test"):
        raise UserError(f"there are no word problems of split {split!r}", remedy="Use train, dev or test.")
    rng, found = Random(f"{split} {seed}"), dict[str, Request]()
    while len(found) < num:
        problem = _word_problem(rng, rng.choice([2, 2, 3]))
        if _split_of(problem.text) == split:
            found[problem.text] = problem
    return list(found.values())


def training_problem(rng: Random) -> Request:
    """One problem of one to three operations for a pretraining document; never one of dev or test."""
    while True:
        problem = _word_problem(rng, rng.choice([1, 2, 2, 3]))
        if _split_of(problem.text) == "train":
            return problem


def solution(request: Request, style: str, rng: Random) -> str:
    """`direct`: the result alone; `chain`: every step first; `sloppy`: a chain whose steps fail one time in four.

    A sloppy chain carries its errors on, so that its result follows from what was written.
    """
    if style == "direct":
        return f"The answer is {request.answer}."
    assert style in ("chain", "sloppy"), style
    written: list[Step] = []
    for right in chain(request.item):
        step = Step.of(written[-1].result if written else right.left, right.sign, right.right)
        if style == "sloppy" and rng.random() < 0.25:
            step = replace(step, result=step.result + rng.choice([-2, -1, 1, 2]))
        written.append(replace(step, result=max(0, step.result)))
    return f"{' '.join(map(str, written))} The answer is {written[-1].result}."


def final_number(text: str) -> int | None:
    """The number after the last `The answer is`; None if no answer is given."""
    found = _FINAL.findall(text)
    return int(found[-1]) if found else None


def math_reward(request: Request, text: str) -> float:
    """1.0 for the right final number, else 0.0; nothing but the number counts."""
    return float(final_number(text) == request.answer)
