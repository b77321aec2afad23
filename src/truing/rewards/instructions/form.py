"""What a response should look like: lists, titles, sections, JSON, its beginning and its end."""

from __future__ import annotations

import json
import re

from truing.rewards.instructions.keywords import Count, Word

__all__ = [
    "constrained_response",
    "end_checker",
    "json_format",
    "multiple_sections",
    "no_comma",
    "number_bullet_lists",
    "number_highlighted_sections",
    "number_placeholders",
    "postscript",
    "quotation",
    "repeat_prompt",
    "title",
    "two_responses",
]

_OPTIONS = ("My answer is yes.", "My answer is no.", "My answer is maybe.")


def number_placeholders(text: str, *, num_placeholders: Count) -> bool:
    """At least so many placeholders such as [address]."""
    return len(re.findall(r"\[[^\[\]\n]*\]", text)) >= num_placeholders


def postscript(text: str, *, postscript_marker: Word) -> bool:
    """A postscript with this marker; between the letters of P.S. and P.P.S may be spaces."""
    marker = postscript_marker.lower()
    patterns = {"p.p.s": r"p\.\s?p\.\s?s", "p.s.": r"p\.\s?s\."}
    return re.search(patterns.get(marker, re.escape(marker)), text.lower()) is not None


def number_bullet_lists(text: str, *, num_bullets: Count) -> bool:
    """Exactly so many bullet points: lines that start with one `*`, or with `-`."""
    lines = [line.strip() for line in text.split("\n")]
    return sum(line.startswith("-") or bool(re.match(r"\*[^*]", line)) for line in lines) == num_bullets


def constrained_response(text: str) -> bool:
    """One of "My answer is yes.", "My answer is no.", "My answer is maybe." is in it."""
    return any(option in text for option in _OPTIONS)


def number_highlighted_sections(text: str, *, num_highlights: Count) -> bool:
    """At least so many parts of lines in *asterisks* or **pairs of them**."""
    single = re.findall(r"\*([^\n*]*)\*", text)
    double = re.findall(r"\*\*([^\n*]*)\*\*", text)
    return sum(bool(part.strip()) for part in [*single, *double]) >= num_highlights


def multiple_sections(text: str, *, section_spliter: Word, num_sections: Count) -> bool:
    """At least so many sections that begin with the word and a number, as in "SECTION 1"."""
    return len(re.findall(rf"{re.escape(section_spliter)}\s?\d+", text)) >= num_sections


def json_format(text: str) -> bool:
    """All of it is JSON; it may be a Markdown code block."""
    text = text.strip()
    for fence in ("```json", "```Json", "```JSON", "```"):
        text = text.removeprefix(fence)
    try:
        json.loads(text.removesuffix("```").strip())
    except (ValueError, RecursionError):
        return False
    return True


def title(text: str) -> bool:
    """A title in <<double angular brackets>>, on one line."""
    for line in text.split("\n"):
        start, end = line.find("<<"), line.rfind(">>")
        if 0 <= start < end - 2 and line[start:end].strip("<>").strip():
            return True
    return False


def two_responses(text: str) -> bool:
    """Two different responses, separated by ******."""
    parts = [part.strip() for part in text.split("******")]
    if not all(parts[1:-1]):
        return False
    found = [part for part in parts if part]
    return len(found) == 2 and found[0] != found[1]


def repeat_prompt(text: str, *, prompt_to_repeat: Word) -> bool:
    """It starts with the prompt; upper and lower case are the same."""
    return text.strip().lower().startswith(prompt_to_repeat.lower())


def end_checker(text: str, *, end_phrase: Word) -> bool:
    """It ends with the phrase; upper and lower case are the same, and quotation marks around all do not matter."""
    return text.strip().strip('"').lower().endswith(end_phrase.lower())


def quotation(text: str) -> bool:
    """All of it is in double quotation marks."""
    text = text.strip()
    return len(text) > 1 and text.startswith('"') and text.endswith('"')


def no_comma(text: str) -> bool:
    """No comma."""
    return "," not in text
