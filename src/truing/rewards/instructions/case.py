"""Capital letters, and the language of a response."""

from __future__ import annotations

import re
from typing import Annotated

from pydantic import AfterValidator

from truing.rewards.instructions.keywords import Count, Relation, holds
from truing.rewards.language import LANGUAGES, detect, script_shares

__all__ = ["capital_word_frequency", "english_capital", "english_lowercase", "response_language"]

_WORD = re.compile(r"\w+(?:[-'’.&]\w+)*")


def _known(language: str) -> str:
    code = language.strip().lower().split("-")[0]
    if code not in LANGUAGES:
        raise ValueError(f"not a language that can be told; they are {', '.join(LANGUAGES)}")
    return code


def response_language(text: str, *, language: Annotated[str, AfterValidator(_known)]) -> bool:
    """It is in this language (see the reward `language`)."""
    return detect(text) == language


def english_capital(text: str) -> bool:
    """English, and no letter is a small one."""
    return text.isupper() and _may_be_english(text)


def english_lowercase(text: str) -> bool:
    """English, and no letter is a capital one."""
    return text.islower() and _may_be_english(text)


def _may_be_english(text: str) -> bool:
    # Of a few words nobody can say that they are not.
    return detect(text) in ("en", None) and script_shares(text).get("Latin", 0.0) > 0.5


def capital_word_frequency(text: str, *, capital_frequency: Count, capital_relation: Relation) -> bool:
    """So many words in capital letters alone; "A" and "I" are such, a word with hyphens is one."""
    return holds(sum(word.isupper() for word in _WORD.findall(text)), capital_relation, capital_frequency)
