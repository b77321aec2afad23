"""Turn markers that are ordinary text ([/INST], ### Response:, <|im_start|> where it is no special token).

Such a marker has no token of its own, so a message that contains it would be tokenised as a real turn. It is broken by
one space before its closing punctuation: `[/INST ]`, `### Response :`, `<|im_start |>`. Among the ways to break it this
does least harm: every tokenizer can spell it, a reader still sees what was written, it survives decoding and tokenising
again, and no word of the message is lost. (Another cut of the same text into tokens would be invisible, and undone by
whoever handles the text; a zero-width space is an unknown token to small vocabularies.) Every case is counted.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from truing.chat.twin import THOUGHTS
from truing.errors import ModelError

__all__ = ["Guard", "markers"]

_BRACKETED = re.compile(r"<{1,2}[^<>\s]+>{1,2}|\[[^\[\]\s]+\]")
_THOUGHT = re.compile("|".join(map(re.escape, THOUGHTS)))


def markers(skeletons: Iterable[tuple[str, ...]], special: re.Pattern[str]) -> set[str]:
    """The text that marks turns, from the literals of some rendered conversations.

    It is looked for in the line right before and right after a content; what stands farther off is a preamble or a
    default system prompt, and so is a line of words at the very beginning that special tokens set apart from the turns
    (Llama-3.1's date). A bare word next to a marker (`<|im_start|>user`) is none: the marker protects it.
    """
    found: set[str] = set()
    for first, *later in skeletons:
        for line in _lines(first)[-1:]:
            if special.search(line) or not special.search(first) or not line.strip()[0].isalnum():
                found |= _of_line(line, special)
        for literal in later:
            lines = _lines(literal)
            for line in [*lines[:1], *lines[-1:]]:
                found |= _of_line(line, special)
    return found


def _lines(literal: str) -> list[str]:
    return [line for line in _THOUGHT.sub("", literal).split("\n") if line.strip()]


def _of_line(line: str, special: re.Pattern[str]) -> set[str]:
    texts = special.split(line)
    brackets = {b for text in texts for b in _BRACKETED.findall(text)}
    protected = len(texts) > 1 or bool(brackets)
    rest = {part.strip() for text in texts for part in _BRACKETED.split(text)} - {""}
    return brackets | {text for text in rest if _marks(text, protected)}


def _marks(text: str, protected: bool) -> bool:
    has_word, has_symbol = bool(re.search(r"\w", text)), bool(re.search(r"[^\w\s]", text))
    if protected:
        return has_word and has_symbol
    return has_word or len(text) >= 3  # a lone ":" or ">" is no marker, "---" is


class Guard:
    """Breaks markers in contents.

    `encode` must give the tokens of a text in the middle of text; `normalize` is what the tokenizer does to a text
    beforehand (lower case, full-width letters made plain, zero-width ones dropped), None for nothing of the kind.
    """

    def __init__(
        self,
        found: Iterable[str],
        encode: Callable[[str], list[int]],
        *,
        normalize: Callable[[str], str] | None,
        name: str,
    ) -> None:
        self._normalize = normalize
        self._broken: dict[str, str] = {}
        for marker in found:
            for spelling in {marker, normalize(marker).strip() if normalize else marker} - {""}:
                self._broken[spelling] = _break(spelling, encode, name)
        words = sorted(self._broken, key=len, reverse=True)
        self._pattern = re.compile("|".join(map(_spot, words)) or r"(?!)")

    @property
    def markers(self) -> frozenset[str]:
        return frozenset(self._broken)

    def scrub(self, content: str) -> tuple[str, int]:
        """The content without markers, and how many there were."""
        if not self._broken:
            return content, 0
        content, number = self._sub(content)
        if self._normalize and self._pattern.search(seen := self._normalize(content)):
            # A look-alike that the tokenizer folds into the marker: the text goes on as the tokenizer sees it.
            content, more = self._sub(seen)
            number += more
        return content, number

    def _sub(self, content: str) -> tuple[str, int]:
        return self._pattern.subn(lambda match: self._broken[match[0]], content)


def _spot(marker: str) -> str:
    """Where a marker counts: anywhere, but one that begins with a word (`User:`) only at the beginning of a line."""
    at_line_start = r"(?:(?<=\n)|\A)" if marker[0].isalnum() else ""
    return at_line_start + re.escape(marker) + (r"(?!\w)" if marker[-1].isalnum() else "")


def _break(marker: str, encode: Callable[[str], list[int]], name: str) -> str:
    """The marker in a spelling that no longer has its tokens."""
    word = re.search(r"\w(?=[^\w\s]*$)", marker)
    cut = word.end() if word and word.end() < len(marker) else 1
    for mark in (" ", "\u200b", "_"):
        broken = marker[:cut] + mark + marker[cut:]
        if not _contains(encode(broken), encode(marker)):
            return broken
    raise ModelError(
        f"the turn marker {marker!r} is ordinary text, and this tokenizer cannot tell it from {broken!r}: any message "
        f"could forge a turn",
        where=name,
        remedy="Add the marker to the tokenizer's special tokens, or name another template.",
    )


def _contains(tokens: list[int], others: list[int]) -> bool:
    return any(tokens[i : i + len(others)] == others for i in range(len(tokens) - len(others) + 1))
