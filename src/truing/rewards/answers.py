"""The final answer of a solution, and plain numbers in it. Pure functions, linear in the length of a text.

Models write answers in many ways: `\\boxed{3/4}`, GSM8K's `#### 1,234`, "The answer is $5.", or just a last number.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from fractions import Fraction
from typing import Literal

from truing.rewards.format import parse_thought

__all__ = ["Form", "Number", "final_answer", "number", "plain", "reference_answer", "same_number"]

Form = Literal["any", "boxed", "hash", "phrase"]
_MOST = 1000
"""Characters of an answer that are read; the longest of 200 of MATH-500 has 43."""

_HASH = re.compile(r"####[ \t]*([^\n]{0,1000})")
# "A:" at the start of a line is how the solutions published with GSM8K end.
_PHRASE = re.compile(
    r"(?:\banswer\**\s{0,3}(?:is|are|was|:|=)[*:]{0,3}(?:\s{0,3}(?:equal to|approximately|about|:|=))?|^A:)[ \t]{0,8}"
    r"\n?([^\n]{0,1000})",
    re.IGNORECASE | re.MULTILINE,
)
_REASON = re.compile(r"\s(?:because|since|which|where|so that|when|if)\s|;")
_SENTENCE = re.compile(r"[.!?](?=\s|$)")

_DIGITS = r"(?:\d{1,3}(?:,\d{3})+|\d+)"
_PLAIN = rf"(?:{_DIGITS}(?:\.\d*)?|\.\d+)(?:[eE][+-]?\d{{1,2}}(?!\d))?"
# Not the 2 of 2k.
_IN_PROSE = re.compile(rf"(?<![\w.])(?>[-−]?[$€£¥₹]?[-−]?{_PLAIN}(?:\s?/\s?\d+)?(?:\s?%)?)(?![A-Za-z](?![A-Za-z]))")
_VALUE = re.compile(
    r"(?P<sign>[+-]?)\s*(?:"
    rf"(?:(?P<whole>\d+)\s*)?\\frac\s*(?:\{{\s*(?P<top>-?{_PLAIN})\s*\}}|(?P<t>\d))\s*"
    rf"(?:\{{\s*(?P<bottom>{_PLAIN})\s*\}}|(?P<b>\d))"
    rf"|(?:(?P<before>\d+)\s+)?(?P<over>{_PLAIN})\s*/\s*(?P<under>{_PLAIN})"
    rf"|(?P<number>{_PLAIN})"
    r")\s*"
)
_UNIT = re.compile(
    r"(?:[$€£¥₹]|°[CF]?|(?:[A-Za-zµ]+\.?|[a-z]{1,2}/[a-z]{1,2}|per|/)(?:\^?\{?[23]\}?|[²³])?)"
    r"(?:[\s-]+(?:/|[A-Za-z]+\.?)(?:\^?\{?[23]\}?|[²³])?){0,6}"
)
_UNITS = (
    "km m cm mm nm in ft yd mi kg g mg lb lbs oz ml l gal hr hrs h min mins s sec secs ms am pm mph kph kmh hz khz mhz "
    "ghz kb mb gb tb kw kj"
)
_ATTACHED = frozenset(_UNITS.split())
_FORMULA = "pi e i x y z n sqrt sin cos tan log ln exp mod or and to plus minus times over"
_NO_UNIT = frozenset(_FORMULA.split())
_SCALES = {"hundred": 10**2, "dozen": 12, "thousand": 10**3, "million": 10**6, "billion": 10**9, "trillion": 10**12}
_WRAPPED = re.compile(r"\\(?:text|mbox|mathrm|textrm|textbf|mathbf|textit|rm|bf)\s*\{([^{}]*)\}")
# A backslash before them is the end of a row of a matrix, as in `1 \\ 16`.
_SPACES = re.compile(r"(?<!\\)\\[!,;: ]|~|\\(?:left|right|displaystyle)(?![a-zA-Z])")


def final_answer(text: str, form: Form = "any") -> str | None:
    """What a solution says in the end: the inside of its last `\\boxed{}`, else what follows its last `####`, else its
    last "answer is", else its last number. None where there is none, or where the last box is cut off.

    A thought, `<think>...</think>`, is no part of the solution. `form` asks for one form and takes no other.
    """
    _, text = parse_thought(text)
    if form in ("any", "boxed"):
        found, inside = _boxed(text)
        if found or form == "boxed":
            return inside
    if form in ("any", "hash"):
        marked = _last(_HASH, text)
        if marked or form == "hash":
            return marked
    said = _last(_PHRASE, text)
    if said is not None and (clause := _clause(said)):
        return clause
    if form == "phrase":
        return None
    numbers = _IN_PROSE.findall(text)
    return str(numbers[-1]).strip().rstrip(".,") if numbers else None


def reference_answer(text: str) -> str | None:
    """The answer of a reference: boxed or marked as in a solution, else the whole text. None where it is blank."""
    found, inside = _boxed(text)
    if found:
        return inside
    marked = _last(_HASH, text)
    if marked is None and "\n" in text.strip():
        marked = _last(_PHRASE, text)
    return (text if marked is None else marked).strip() or None


def _last(pattern: re.Pattern[str], text: str) -> str | None:
    last = None
    for match in pattern.finditer(text):
        last = match
    return last.group(1).strip() or None if last is not None else None


def _boxed(text: str) -> tuple[bool, str | None]:
    """Whether there is a box, and what is in the last one (None: its end is missing)."""
    start = max(text.rfind(name) + len(name) if name in text else -1 for name in ("\\boxed", "\\fbox"))
    if start < 0:
        return False, None
    rest = text[start : start + _MOST].lstrip(" ")
    if not rest.startswith("{"):
        words = rest.split(maxsplit=1)
        return True, words[0].strip("$") or None if words else None
    depth = 0
    for i, letter in enumerate(rest):
        if letter in "{}" and rest[i - 1] != "\\":
            depth += 1 if letter == "{" else -1
        if depth == 0:
            return True, rest[1:i].strip() or None
    return True, None


def _clause(text: str) -> str:
    """The answer in what follows "the answer is": without the reasons, and without the full stop."""
    text = text.strip().removeprefix("**").strip()
    for opening, closing in (("$$", "$$"), ("$", "$"), ("\\(", "\\)"), ("\\[", "\\]")):
        if text.startswith(opening):
            inside, end, _ = text[len(opening) :].partition(closing)
            if end and inside.strip() and not inside[0].isspace():
                return inside.strip()
    text = _SENTENCE.split(_REASON.split(text, maxsplit=1)[0], maxsplit=1)[0]
    text = text.strip().strip("*").strip()
    prose = len(re.findall(r"\b[A-Za-z]{2,}\b", text)) > 1 and not set(text) & set("=^\\{}()*+")
    if prose and len(numbers := _IN_PROSE.findall(text)) == 1:
        return str(numbers[0]).strip().rstrip(".,")
    return text


@dataclass(frozen=True, slots=True)
class Number:
    """A number exactly as written, so 0.5 is 1/2. `percent`: with its sign, 50 % has the value 50."""

    value: Fraction
    percent: bool = False


def plain(text: str) -> str:
    """An answer without dollars, LaTeX spacing, degrees and the like around it."""
    text = text.strip().strip("*").strip()
    for opening, closing in (("$$", "$$"), ("$", "$"), ("\\(", "\\)"), ("\\[", "\\]")):
        if text.startswith(opening) and text.endswith(closing) and len(text) > len(opening) + len(closing):
            text = text[len(opening) : -len(closing)].strip()
            break
    text = _SPACES.sub(lambda m: " " if m.group() in ("\\ ", "~") else "", text.replace("{,}", ","))
    text = text.replace("\\%", "%").replace("\\$", "$").replace("−", "-")
    text = text.replace("\\dfrac", "\\frac").replace("\\tfrac", "\\frac").replace("\\cfrac", "\\frac")
    for degree in ("^{\\circ}", "^\\circ", "^{°}", "\\degree", "°"):
        text = text.replace(degree, "")
    return re.sub(r"\s+", " ", text).strip().rstrip(".,;: ") if not text.endswith("...") else text


def number(text: str) -> Number | None:
    """The number that a text is: 1,234.50, $5, 72 %, 3/4, \\frac{3}{4}, 2 1/2, 1e3, x = 5, 5 km, 3 million.

    None where it is anything else, as 2k, 5 or 6, and 3 hours 20 minutes are. A unit is dropped, so that 5 km is 5.
    """
    if len(text) > _MOST:
        return None
    text = re.sub(r"^[A-Za-z]\s{0,3}=\s{0,3}", "", plain(text))
    text = plain(_WRAPPED.sub(lambda m: f" {m.group(1)} ", text)).replace(" ^", "^")
    text = re.sub(r"^([+-]?)\s?[$€£¥₹]\s?", r"\1", text)
    match = _VALUE.match(text)
    if match is None:
        return None
    value, unit = _value(match), text[match.end() :].strip()
    if value is None:
        return None
    percent = unit.startswith("%") or unit.lower() in ("percent", "per cent")
    if percent:
        return Number(value, True) if unit.lower() in ("%", "percent", "per cent") else None
    attached = bool(unit) and not text[match.end() - 1].isspace()
    scale = _unit(unit, attached)
    return None if scale is None else Number(value * scale)


def _unit(unit: str, attached: bool) -> int | None:
    """What the words behind a number multiply it with; None where they are no unit."""
    if not unit:
        return 1
    if len(unit) > 60 or not _UNIT.fullmatch(unit):
        return None
    words = re.findall(r"[A-Za-z]+", unit.lower())
    if words and (words[0] in _NO_UNIT or {"or", "and", "to"} & set(words)):
        return None
    if attached and words and words[0] not in _ATTACHED:
        return None
    if words and len(words[0]) == 1 and (attached or words[0] not in _ATTACHED or len(words) > 1):
        return None  # 2 k is algebra, 5 m is metres
    return _SCALES.get(words[0], 1) if words else 1


def _value(match: re.Match[str]) -> Fraction | None:
    """The number in a match of `_VALUE`; None for a division by zero."""
    part = match.groupdict()

    def read(digits: str) -> Fraction:
        return Fraction(digits.replace(",", ""))

    if part["number"] is not None:
        value = read(part["number"])
    else:
        top = part["top"] or part["t"] or part["over"]
        below = read(part["bottom"] or part["b"] or part["under"])
        if below == 0:
            return None
        value = read(part["whole"] or part["before"] or "0") + read(top) / below
    return -value if part["sign"] == "-" else value


def same_number(reference: Number, answer: Number) -> bool:
    """Whole numbers have to be equal, others to within a millionth of the reference: 0.3333333 is 1/3, 0.333 is not.

    50 % is 50 % and 50 and 0.5.
    """
    if reference.percent == answer.percent:
        return _close(reference.value, answer.value)
    ours, theirs = (reference, answer) if reference.percent else (answer, reference)
    return _close(ours.value, theirs.value) or _close(ours.value / 100, theirs.value)


def _close(a: Fraction, b: Fraction) -> bool:
    if a.denominator == b.denominator == 1:
        return a == b
    return abs(a - b) <= Fraction(1, 10**6) * abs(a)
