"""Which language a text is in, and whether that is the one that was wanted.

rewards:
  - language: {language: de}
"""

from __future__ import annotations

import re
from bisect import bisect_right
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

from truing.errors import RecipeError
from truing.registry import reward
from truing.rewards._languages import LETTERS, SCRIPT_LANGUAGES, SCRIPTS, WORDS
from truing.rewards.format import parse_thought

__all__ = ["LANGUAGES", "Language", "detect", "script_shares"]

_MOST = 20_000
"""Characters that are read: from the beginning, the middle and the end."""

# Vowel signs of Devanagari are marks, which `\w` takes for the end of a word.
_WORD = re.compile(r"(?:[^\W\d_]|[\u0900-\u0903\u093a-\u094f\u0951-\u0957\u0962\u0963])+")
_RANGES = sorted((first, last, name) for name, ranges in SCRIPTS.items() for first, last in ranges)
_STARTS = [first for first, _, _ in _RANGES]
_TABLES = {
    script: {language: frozenset(words.split()) for language, words in languages.items()}
    for script, languages in WORDS.items()
}
_WRITTEN = {language: frozenset({script}) for script, language in SCRIPT_LANGUAGES.items()}
_WRITTEN |= {language: frozenset({script}) for script, languages in WORDS.items() for language in languages}
_WRITTEN["ja"] = frozenset({"Kana", "Han"})
_WRITTEN["ko"] = frozenset({"Hangul", "Han"})

LANGUAGES = tuple(sorted(_WRITTEN))
"""The languages that are told apart, as ISO 639-1 codes (Tagalog: tl)."""


@lru_cache(maxsize=8192)
def _script(letter: str) -> str | None:
    place = bisect_right(_STARTS, ord(letter)) - 1
    if place < 0 or ord(letter) > _RANGES[place][1]:
        return None
    return _RANGES[place][2]


def script_shares(text: str) -> dict[str, float]:
    """The share of the letters of a text in each script; nothing of a text without letters of a script that we know."""
    counts = Counter(map(_script, _read(text)))
    counts.pop(None, None)
    total = counts.total()
    return {str(script): count / total for script, count in counts.items()}


def detect(text: str) -> str | None:
    """The language of a text, or None where it cannot be told: no letters, or too few words that are known.

    The script in which most letters are decides, and among the languages of one script the common words and a few
    letters. Chinese is Han without kana. A sentence of ten words is mostly enough, three words are not.
    """
    text = _read(text).casefold()
    shares = script_shares(text)
    if not shares:
        return None
    # A Han character says what an alphabet says in two or three letters, and Japanese is written in both.
    if shares.get("Kana", 0) > 0.05 and shares.get("Kana", 0) + shares.get("Han", 0) > 0.5:
        return "ja"
    script = max(shares, key=lambda name: shares[name])
    if script in SCRIPT_LANGUAGES:
        return SCRIPT_LANGUAGES[script]
    words = Counter(_WORD.findall(text))
    total = words.total()
    letters = Counter(text)
    scores = {
        language: sum(words[word] for word in common) / total
        + 0.5 * sum(letters[letter] for letter in LETTERS.get(language, "")) / total
        for language, common in _TABLES[script].items()
    }
    best, second = sorted(scores, key=lambda name: -scores[name])[:2]
    if scores[best] < 0.04 or scores[best] == scores[second]:
        return None
    return best


def _read(text: str) -> str:
    if len(text) <= _MOST:
        return text
    third, middle = _MOST // 3, len(text) // 2
    return f"{text[:third]} {text[middle : middle + third]} {text[-third:]}"


class Language:
    """The share of a response's letters that are in the script of `language`, if that is the language it is in, else 0:
    German with a sentence of Chinese in it earns less than 1, French nothing.

    `language` is a code such as `de`, or `prompt`: the language of the prompt, and None where that cannot be told. What
    follows a thought in think tags is read, with `thought` the thought as well. Text whose language cannot be told (too
    short, only numbers) earns 0. Told apart: am, ar, bg, bn, cs, da, de, el, en, es, fa, fi, fr, gu, he, hi, hu, hy,
    id, it, ja, ka, km, kn, ko, ml, mr, my, ne, nl, pa, pl, pt, ro, ru, si, sr, sv, sw, ta, te, th, tl, tr, uk, ur,
    vi, zh.
    """

    # Read by the registry: the types of the settings.
    language: str
    thought: bool

    def __init__(self, *, language: str = "prompt", thought: bool = False) -> None:
        if language != "prompt" and language not in LANGUAGES:
            raise RecipeError(
                f"language {language!r:.40} is not one that can be told",
                where="reward `language`",
                remedy=f"Say `prompt`, or one of: {', '.join(LANGUAGES)}.",
            )
        self.language, self.thought = language, thought

    def __call__(
        self,
        prompts: Sequence[str],
        completions: Sequence[str],
        *,
        messages: Sequence[Sequence[dict[str, str]]] | None = None,
        **columns: Any,
    ) -> list[float | None]:
        """One reward per completion. `messages`, where given, are the prompts' turns: the last one is read."""
        asked = [p if isinstance(p, str) else p[-1]["content"] for p in (prompts if messages is None else messages)]
        out: list[float | None] = []
        for prompt, text in zip(asked, completions, strict=True):
            wanted = detect(prompt) if self.language == "prompt" else self.language
            read = text if self.thought else parse_thought(text)[1]
            out.append(None if wanted is None else _share(read, wanted))
        return out


def _share(text: str, language: str) -> float:
    if detect(text) != language:
        return 0.0
    return sum(share for script, share in script_shares(text).items() if script in _WRITTEN[language])


reward.register(Language, "language")
