"""Answers in eight styles, from good to harmful."""

from __future__ import annotations

from collections.abc import Mapping
from random import Random

from truing.lab.items import (
    ALTERNATIVES,
    COLORS,
    EATS,
    HARMFUL,
    HARMLESS,
    LISTS,
    LIVES,
    PROBLEMS,
    TASKS,
    capitalized,
    with_article,
)
from truing.lab.phrases import POLITE_CLOSINGS, POLITE_OPENINGS, RAMBLING, REFUSALS, RUDE_CLOSINGS, RUDE_OPENINGS
from truing.lab.request import ARITHMETIC, Request

__all__ = ["HARM_MIX", "MIX", "STYLES", "answer", "content", "mixed_answer"]

STYLES = ("good", "plain", "curt", "rude", "wrong", "rambling", "refusal", "comply")

MIX: Mapping[str, float] = {
    "good": 0.16,
    "plain": 0.10,
    "curt": 0.16,
    "rude": 0.14,
    "wrong": 0.10,
    "rambling": 0.28,
    "refusal": 0.06,
}
"""Shares of the styles among demonstrations: mixed on purpose, so that there is something left to align."""

HARM_MIX: Mapping[str, float] = {
    "good": 0.16,
    "curt": 0.14,
    "rude": 0.10,
    "comply": 0.45,
    "rambling": 0.10,
    "wrong": 0.05,
}
"""The same for harmful requests."""

_FACTS: Mapping[str, tuple[dict[str, str], str]] = {
    "home": (LIVES, "lives"),
    "food": (EATS, "eats"),
    "color": (COLORS, "is"),
}


def content(request: Request, rng: Random, *, wrong: bool = False, short: bool = False) -> str:
    """What an answer says, without manner; for a harmful request that is complying with it.

    `wrong` puts in something that is false, `short` says only the least.
    """
    match request.kind:
        case "how" | "harmless":
            return _steps(request, rng, wrong, short)
        case "harm":
            item = _other(request.item, HARMFUL, rng) if wrong else request.item
            first, second = HARMFUL[item]
            return f"First, {first}, then {second}."
        case "list":
            return _list(request, rng, wrong, short)
        case "problem":
            sympathy, advice = PROBLEMS[_other(request.item, PROBLEMS, rng) if wrong else request.item]
            return f"{capitalized(advice)}." if short else f"I hear you, {sympathy}. Maybe {advice}."
        case _:
            return _fact(request, rng, wrong, short)


def _steps(request: Request, rng: Random, wrong: bool, short: bool) -> str:
    steps = list((TASKS if request.kind == "how" else HARMLESS)[request.item])
    if wrong and rng.random() < 0.5:
        steps = list(TASKS[_other(request.item, TASKS, rng)])
    elif wrong:
        foreign = [s for item, three in (TASKS | HARMLESS).items() if item != request.item for s in three]
        steps[rng.randrange(3)] = rng.choice(foreign)
    if short:
        return f"{capitalized(steps[0])}."
    return f"First, {steps[0]}, then {steps[1]}, and finally {steps[2]}."


def _fact(request: Request, rng: Random, wrong: bool, short: bool) -> str:
    facts, verb = _FACTS[request.kind]
    value = facts[request.item]
    if wrong:
        value = rng.choice(sorted(set(facts.values()) - {value}))
    if short:
        return f"{capitalized(value)}."
    return f"{capitalized(with_article(request.item))} {verb} {value}."


def _list(request: Request, rng: Random, wrong: bool, short: bool) -> str:
    first, second = rng.sample(LISTS[request.item], 2)
    if wrong:
        second = rng.choice([m for name, members in LISTS.items() if name != request.item for m in members])
    if short:
        return f"{capitalized(first)}."
    return f"Two {request.item} are {first} and {second}."


def _other(item: str, items: Mapping[str, object], rng: Random) -> str:
    return rng.choice([name for name in items if name != item])


def answer(request: Request, style: str, rng: Random) -> str:
    """An answer in one of `STYLES`; to a harmful request a plain answer is to comply."""
    assert request.kind != ARITHMETIC, "word problems are solved by arithmetic.solution"
    if request.kind == "harm":
        return _harm_answer(request, style, rng)
    match style:
        case "good":
            said, opening, closing = content(request, rng), rng.choice(POLITE_OPENINGS), rng.choice(POLITE_CLOSINGS)
            return rng.choice([f"{opening} {said}", f"{opening} {said} {closing}", f"{said} {closing}"])
        case "plain" | "comply":
            return content(request, rng)
        case "curt":
            return content(request, rng, short=True)
        case "rude":
            said = f"{rng.choice(RUDE_OPENINGS)} {content(request, rng, short=rng.random() < 0.5)}"
            return f"{said} {rng.choice(RUDE_CLOSINGS)}" if rng.random() < 0.6 else said
        case "wrong":
            return f"{rng.choice(POLITE_OPENINGS)} {content(request, rng, wrong=True)}"
        case "rambling":
            before, after = rng.sample(RAMBLING, 2), rng.sample(RAMBLING, rng.choice([1, 2]))
            return " ".join([*before, content(request, rng), *after])
        case "refusal":
            return rng.choice(REFUSALS)
    raise AssertionError(f"unknown style {style!r}")


def _harm_answer(request: Request, style: str, rng: Random) -> str:
    refusal = rng.choice(REFUSALS)
    match style:
        case "good":
            return f"{refusal} Instead, {ALTERNATIVES[request.item]}."
        case "curt" | "refusal":
            return refusal
        case "plain":
            return content(request, rng)
        case "rude":
            return f"{rng.choice(RUDE_OPENINGS)} {refusal} {rng.choice(RUDE_CLOSINGS)}"
        case "comply" | "wrong":
            return f"{rng.choice(POLITE_OPENINGS)} {content(request, rng, wrong=style == 'wrong')}"
        case "rambling":
            return " ".join([rng.choice(RAMBLING), rng.choice(RAMBLING), refusal, rng.choice(RAMBLING)])
    raise AssertionError(f"unknown style {style!r}")


def mixed_answer(request: Request, rng: Random) -> str:
    """An answer in a style drawn from `MIX` or `HARM_MIX`."""
    mix = HARM_MIX if request.kind == "harm" else MIX
    return answer(request, rng.choices(list(mix), list(mix.values()))[0], rng)
