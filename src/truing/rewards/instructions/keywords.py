"""Words and letters that a response should have or not have. Upper and lower case are the same."""

from __future__ import annotations

import re
from typing import Annotated, Literal

from pydantic import Field, StringConstraints

__all__ = ["Count", "Relation", "Word", "existence", "forbidden_words", "frequency", "holds", "letter_frequency"]

Relation = Literal["less than", "at least"]
Count = Annotated[int, Field(ge=0)]
Word = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1)]
Letter = Annotated[str, StringConstraints(strip_whitespace=True, min_length=1, max_length=1)]


def holds(number: int, relation: Relation, limit: int) -> bool:
    """number < limit, or number >= limit."""
    return number < limit if relation == "less than" else number >= limit


def existence(text: str, *, keywords: Annotated[list[Word], Field(min_length=1)]) -> bool:
    """Every keyword is in it; part of a word will do."""
    text = text.lower()
    return all(word.lower() in text for word in keywords)


def frequency(text: str, *, keyword: Word, frequency: Count, relation: Relation) -> bool:
    """The keyword is in it so often; parts of words count."""
    return holds(text.lower().count(keyword.lower()), relation, frequency)


def forbidden_words(text: str, *, forbidden_words: Annotated[list[Word], Field(min_length=1)]) -> bool:
    """None of the words is in it; as a part of another word it may be."""
    pattern = "|".join(re.escape(word) for word in forbidden_words)
    return re.search(rf"(?<!\w)(?:{pattern})(?!\w)", text, re.IGNORECASE) is None


def letter_frequency(text: str, *, letter: Letter, let_frequency: Count, let_relation: Relation) -> bool:
    """The letter (or other sign) is in it so often."""
    return holds(text.lower().count(letter.lower()), let_relation, let_frequency)
