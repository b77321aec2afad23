"""A penalty on saying the same thing again.

rewards:
  - repetition: {n: 4}
    weight: 0.5
"""

from __future__ import annotations

from collections.abc import Hashable, Sequence
from typing import Annotated, Any, Literal

from pydantic import Field

from truing.registry import reward

__all__ = ["repeated_share", "repetition"]


def repeated_share(items: Sequence[Hashable], n: int) -> float:
    """1 − distinct n-grams / all n-grams, "seq-rep-n" (Neural Text Degeneration with Unlikelihood Training,
    arXiv:1908.04319, sec. 6); 0 where there are fewer than n items.

    "a b a b a b" has the bigrams ab ba ab ba ab: 1 − 2/5.
    """
    count = len(items) - n + 1
    if count < 1:
        return 0.0
    return 1.0 - len(set(zip(*(items[i:] for i in range(n)), strict=False))) / count


@reward
def repetition(
    prompts: Sequence[Any],
    completions: Sequence[str],
    *,
    completion_ids: Sequence[Sequence[int]],
    n: Annotated[int, Field(ge=1)] = 4,
    unit: Literal["tokens", "words"] = "tokens",
    **columns: Any,
) -> list[float]:
    """−(1 − distinct n-grams / all n-grams), from 0 (nothing said twice) towards −1 (nothing else), after
    arXiv:1908.04319, sec. 6, where n is 4.

    A larger `n` forgives phrases and punishes loops. `unit`: n tokens, or n words whatever the tokenizer makes of them
    (case does not count; words are what spaces separate, so not for languages that have none).
    """
    if unit == "words":
        return [-repeated_share(text.casefold().split(), n) for text in completions]
    return [-repeated_share(ids, n) for ids in completion_ids]
