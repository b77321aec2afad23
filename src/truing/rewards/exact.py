"""Whether a response says what the reference says, word for word.

rewards:
  - exact: {part: last_line}
data column `answer`: a text or a list of texts that all count
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Sequence
from typing import Any, Literal

from truing.errors import DataError
from truing.registry import reward
from truing.rewards.format import parse_thought

__all__ = ["accepted", "exact", "normalised_text", "said"]

Part = Literal["all", "answer", "last_line"]


def normalised_text(
    text: str, *, case: bool = False, punctuation: bool = False, articles: bool = False, spaces: bool = False
) -> str:
    """A text without what does not count: each setting that is on lets it count.

    As SQuAD is scored (arXiv:1606.05250, sec. 6.1); accents that can be written in two ways are one (NFKC).
    """
    text = unicodedata.normalize("NFKC", text)
    text = text if case else text.casefold()
    if not punctuation:
        marks = [letter for letter in set(text) if unicodedata.category(letter).startswith("P")]
        text = text.translate(str.maketrans("", "", "".join(marks)))
    if not articles:
        text = re.sub(r"\b(?:a|an|the)\b", " ", text, flags=re.IGNORECASE)
    return text if spaces else " ".join(text.split())


def said(text: str, part: Part) -> str:
    """The part of a response that answers: all of it, what follows the thought, or the last line of that."""
    if part == "all":
        return text
    _, text = parse_thought(text)
    return text.rsplit("\n", 1)[-1] if part == "last_line" else text


def accepted(cell: Any, where: str) -> list[str]:
    """The references of a row: of a text, a number, or a list of them."""
    cells = cell if isinstance(cell, list | tuple) else [cell]
    if not cells or any(isinstance(c, bool) or not isinstance(c, str | int | float) for c in cells):
        raise DataError(f"a reference is {cell!r:.60}", where=where, remedy="It should be a text, or a list of texts.")
    return [str(c) for c in cells]


@reward
def exact(
    prompts: Sequence[Any],
    completions: Sequence[str],
    *,
    answer: Sequence[Any],
    part: Part = "answer",
    case: bool = False,
    punctuation: bool = False,
    articles: bool = False,
    spaces: bool = False,
    **columns: Any,
) -> list[float | None]:
    """1 where a response is the reference in the column `answer`, or one of several, else 0; None without one.

    What does not count unless switched on: upper `case`, `punctuation`, English `articles`, `spaces` beyond one.
    `part` is what is compared: `all`, the `answer` behind a thought in think tags (and inside answer tags), or its
    `last_line`.
    """

    def bare(text: str) -> str:
        return normalised_text(text, case=case, punctuation=punctuation, articles=articles, spaces=spaces)

    out: list[float | None] = []
    for text, cell in zip(completions, answer, strict=True):
        if cell is None:
            out.append(None)
            continue
        references = [bare(reference) for reference in accepted(cell, "reward `exact`, column `answer`")]
        out.append(float(bare(said(text, part)) in references))
    return out
