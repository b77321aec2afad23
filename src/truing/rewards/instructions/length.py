"""How many words, sentences and paragraphs a response should have."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import Field

from truing.rewards.instructions.keywords import Count, Relation, Word, holds

__all__ = [
    "nth_paragraph_first_word",
    "number_paragraphs",
    "number_sentences",
    "number_words",
    "sentences",
]

_END = re.compile(r"[.!?…]{1,8}[\"'”’)\]*_]{0,4}(?=\s|$)|[。！？।॥؟]")
_ABBREVIATION = re.compile(
    r"(?:^|[\s(\"'“])(?:mr|mrs|ms|dr|prof|sr|jr|st|vs|etc|e\.g|i\.e|cf|fig|no|vol|inc|ltd|co|corp|dept|gen|rev|approx"
    r"|[a-z](?:\.[a-z]){0,3}|\d{1,3})\.$",
    re.IGNORECASE,
)


def sentences(text: str) -> int:
    """The number of sentences: a full stop, question or exclamation mark before a space ends one, unless it belongs to
    an abbreviation, an initial or the number of a list; so does the end of the text.

    After "etc." and the like a sentence ends too where a capital letter follows is what nobody can tell: it does not.
    """
    count, start = 0, 0
    for match in _END.finditer(text):
        if (
            match.group() == "."
            and match.end() < len(text)
            and _ABBREVIATION.search(text, match.end() - 12, match.end())
        ):
            continue
        count += any(letter.isalnum() for letter in text[start : match.end()])
        start = match.end()
    return count + any(letter.isalnum() for letter in text[start:])


def number_sentences(text: str, *, num_sentences: Count, relation: Relation) -> bool:
    """So many sentences."""
    return holds(sentences(text), relation, num_sentences)


def number_words(text: str, *, num_words: Count, relation: Relation) -> bool:
    """So many words: runs of letters and digits, so "don't" is two."""
    return holds(len(re.findall(r"\w+", text)), relation, num_words)


def number_paragraphs(text: str, *, num_paragraphs: Count) -> bool:
    """Exactly so many paragraphs, separated by `***`; between two separators there is one."""
    parts = text.split("***")
    inner = parts[1:-1]
    if any(not part.strip() for part in inner):
        return False
    ends = [parts[0], parts[-1]] if len(parts) > 1 else parts
    return len(inner) + sum(bool(part.strip()) for part in ends) == num_paragraphs


def nth_paragraph_first_word(
    text: str, *, num_paragraphs: Count, nth_paragraph: Annotated[int, Field(ge=1)], first_word: Word
) -> bool:
    """Exactly so many paragraphs, separated by an empty line, and the nth starts with this word."""
    paragraphs = [part.split() for part in text.split("\n\n") if part.strip()]
    if len(paragraphs) != num_paragraphs or nth_paragraph > num_paragraphs:
        return False
    word = re.split(r"[.,?!'\"]", paragraphs[nth_paragraph - 1][0].lstrip("'\""), maxsplit=1)[0]
    return word.lower() == first_word.lower()
