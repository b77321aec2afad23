"""The answer that a response comes to, as a reward that says right or wrong reads it: what responses vote with."""

from __future__ import annotations

from collections.abc import Callable, Hashable
from functools import partial
from typing import Any

from truing.rewards.exact import exact, normalised_text, said

__all__ = ["Vote", "voter"]

Vote = Callable[[str], Hashable | None]
"""The answer of a response; equal answers are equal, None is none."""


def voter(function: Callable[..., Any]) -> Vote | None:
    """How this reward reads answers; None for rewards that do not say right or wrong.

    `math` and `exact` do; a class of yours does by a method `vote(text)`, beside rewards of 0 and 1.
    """
    if isinstance(function, partial) and function.func is exact:
        settings = dict(function.keywords)
        part = settings.pop("part")
        return lambda text: normalised_text(said(text, part), **settings) or None
    vote: Vote | None = getattr(function, "vote", None)
    return vote
