"""How long a response should be.

rewards:
  - length: {least: 50, most: 100, unit: words, slack: 20}
  - overlong: {max_length: 1024, buffer: 256}
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any, Literal

from pydantic import Field

from truing.errors import RecipeError
from truing.registry import reward

__all__ = ["Length", "Overlong", "soft_overlong", "within"]

Unit = Literal["tokens", "words", "characters"]


def within(length: int, least: int, most: int | None, slack: int) -> float:
    """1 from `least` to `most`; beyond, 1 less per `slack`, at least 0.

    With slack 20, 5 beyond is 1 − 5/20 = 0.75.
    """
    beyond = max(least - length, 0 if most is None else length - most, 0)
    return 1.0 if beyond == 0 else max(0.0, 1.0 - beyond / slack) if slack else 0.0


def soft_overlong(length: int, max_length: int, buffer: int) -> float:
    """0 up to max_length − buffer, then falling on a line to −1 at max_length, −1 beyond (DAPO, arXiv:2503.14476,
    eq. 13)."""
    return max(-1.0, min(0.0, (max_length - buffer - length) / buffer)) if buffer else -float(length > max_length)


def _lengths(texts: Sequence[str], tokens: Sequence[Sequence[int]], unit: Unit) -> list[int]:
    match unit:
        case "tokens":
            return [len(ids) for ids in tokens]
        case "words":
            return [len(text.split()) for text in texts]
        case "characters":
            return [len(text) for text in texts]


class Length:
    """1 where a response has `least` to `most` tokens (or `unit`: words, characters), else 0; with `slack` it falls
    from 1 to 0 on a line so many units beyond. `target` is both at once: exactly so long is best.

    Words are what spaces separate. A length is easily learnt: with a weight near that of what a response says, it
    is what a policy learns.
    """

    # Read by the registry: the types of the settings.
    target: int | None
    least: int
    most: int | None
    slack: int
    unit: Unit

    def __init__(
        self,
        *,
        target: Annotated[int, Field(ge=0)] | None = None,
        least: Annotated[int, Field(ge=0)] = 0,
        most: Annotated[int, Field(ge=0)] | None = None,
        slack: Annotated[int, Field(ge=0)] = 0,
        unit: Unit = "tokens",
    ) -> None:
        where = "reward `length`"
        if target is not None and (least or most is not None):
            raise RecipeError(
                f"it has a target of {target} and also `least` or `most`", where=where, remedy="Give one or the other."
            )
        if target is None and not least and most is None:
            raise RecipeError("no length is said", where=where, remedy="Set `target`, `least` or `most`.")
        if most is not None and least > most:
            raise RecipeError(f"least = {least} is more than most = {most}", where=where)
        if target is not None:
            least, most = target, target
        self.target, self.least, self.most, self.slack, self.unit = target, least, most, slack, unit

    def __call__(
        self,
        prompts: Sequence[Any],
        completions: Sequence[str],
        *,
        completion_ids: Sequence[Sequence[int]],
        **columns: Any,
    ) -> list[float]:
        """One reward per completion."""
        lengths = _lengths(completions, completion_ids, self.unit)
        return [within(length, self.least, self.most, self.slack) for length in lengths]


class Overlong:
    """A soft penalty before the limit: 0 up to `max_length` − `buffer` tokens, then falling on a line to −1 at
    `max_length`, −1 beyond (DAPO, arXiv:2503.14476, eq. 13).

    To be added to a reward for what is said. `max_length` is commonly `rollouts.max_new_tokens`, so that being cut off
    costs 1. The paper: 20480 and 4096.
    """

    # Read by the registry: the types of the settings.
    max_length: int
    buffer: int

    def __init__(self, *, max_length: Annotated[int, Field(ge=1)], buffer: Annotated[int, Field(ge=0)]) -> None:
        if buffer > max_length:
            raise RecipeError(
                f"buffer = {buffer} is more than max_length = {max_length}",
                where="reward `overlong`",
                remedy="The penalty begins at max_length − buffer tokens.",
            )
        self.max_length, self.buffer = max_length, buffer

    def __call__(
        self,
        prompts: Sequence[Any],
        completions: Sequence[str],
        *,
        completion_ids: Sequence[Sequence[int]],
        **columns: Any,
    ) -> list[float]:
        """One penalty per completion."""
        return [soft_overlong(len(ids), self.max_length, self.buffer) for ids in completion_ids]


reward.register(Length, "length")
reward.register(Overlong, "overlong")
