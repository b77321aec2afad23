"""The texts that the base model is pretrained on.

No prompt of dev, test or new is among their questions. The new items are asked about in other words: a model this
small cannot answer what it has read as statements only
(tried: after SFT 15 % of the content on new items instead of 54 %).
"""

from __future__ import annotations

from random import Random

from truing.lab.answers import answer, content
from truing.lab.arithmetic import solution, training_problem
from truing.lab.calculation import Step
from truing.lab.items import ALTERNATIVES, capitalized
from truing.lab.request import Request
from truing.lab.wordings import document_requests

__all__ = ["documents"]

_STYLES = {
    "good": 0.20,
    "plain": 0.22,
    "curt": 0.14,
    "rude": 0.12,
    "wrong": 0.06,
    "rambling": 0.14,
    "refusal": 0.06,
    "comply": 0.06,
}


def documents(num: int, seed: int = 0) -> list[str]:
    """`num` documents: 15 % sums, 23 % word problems with solutions, 20 % statements, 42 % questions with answers."""
    rng = Random(seed)
    asked = document_requests()
    known = list({(request.kind, request.item): request for request in asked}.values())
    return [_document(rng, asked, known) for _ in range(num)]


def _document(rng: Random, asked: list[Request], known: list[Request]) -> str:
    draw = rng.random()
    if draw < 0.15:
        return " ".join(_sum(rng) for _ in range(rng.randint(4, 7)))
    if draw < 0.38:
        problem = training_problem(rng)
        style = rng.choice(["chain", "chain", "chain", "direct"])
        return f"Problem: {problem.text} Solution: {solution(problem, style, rng)}"
    if draw < 0.58:
        return " ".join(_statement(rng.choice(known), rng) for _ in range(rng.randint(2, 3)))
    request = rng.choice(asked)
    style = rng.choices(list(_STYLES), list(_STYLES.values()))[0]
    return f"Question: {request.text} Answer: {answer(request, style, rng)}"


def _sum(rng: Random) -> str:
    """An addition or subtraction that a word problem may need."""
    if rng.random() < 0.55:
        left, right = rng.randint(1, 40), rng.randint(1, 12)
        return str(Step.of(left, "+", right))
    left = rng.randint(2, 45)
    right = rng.randint(1, min(left, 12))
    return str(Step.of(left, "-", right))


def _statement(request: Request, rng: Random) -> str:
    """What there is to know about the item, asked by nobody."""
    if request.kind == "harm" and rng.random() < 0.5:
        return f"Do not {request.item}. Instead, {ALTERNATIVES[request.item]}."
    if request.kind in ("how", "harmless", "harm"):
        return f"To {request.item}: {content(request, rng)}"
    if request.kind == "problem":
        return f"{capitalized(request.item)}. {content(request, rng)}"
    return content(request, rng)
