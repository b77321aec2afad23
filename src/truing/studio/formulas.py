"""Untrusted LaTeX as MathML, rebuilt from a list of harmless elements and attributes.

latex2mathml writes what it reads: `\\text{<script>}` comes out as a script, `\\href` as a link, `\\style` as a style.
So its tree is never printed; elements and attributes that are listed here are copied, and their text is escaped.
"""

from __future__ import annotations

import html
import re
from functools import lru_cache
from typing import Any

__all__ = ["MAX_FORMULA", "mathml"]

MAX_FORMULA = 2_000
"""Characters of the longest formula."""
_MAX_DEPTH = 60
_ELEMENTS = frozenset(
    [
        "math",
        "mrow",
        "mi",
        "mn",
        "mo",
        "mtext",
        "mspace",
        "mfrac",
        "msqrt",
        "mroot",
        "msub",
        "msup",
        "msubsup",
        "munder",
        "mover",
        "munderover",
        "mmultiscripts",
        "mprescripts",
        "none",
        "mtable",
        "mtr",
        "mtd",
        "mstyle",
        "mpadded",
        "mphantom",
        "menclose",
    ]
)
_WORDS = frozenset(["true", "false", "inline", "block", "prefix", "infix", "postfix", "normal"])
_BY_WORD = frozenset(
    ["display", "stretchy", "fence", "form", "accent", "accentunder", "movablelimits", "separator", "displaystyle"]
)
_BY_SIZE = frozenset(["width", "minsize", "maxsize", "lspace", "rspace", "linethickness"])
# A formula that is larger than this leaves its box.
_SIZE = re.compile(r"-?[0-3](\.\d{1,4})?(em|ex)?")
# A macro that doubles itself thirty times is a billion characters.
_DEFINES = re.compile(
    r"\\(def|gdef|edef|xdef|let|newcommand|renewcommand|providecommand|DeclareMathOperator)(?![a-zA-Z])"
)


@lru_cache(maxsize=4096)
def mathml(latex: str, *, display: bool) -> str | None:
    """The formula, or None where it cannot be read: then its source is shown."""
    from latex2mathml.converter import convert_to_element

    if len(latex) > MAX_FORMULA or _DEFINES.search(latex):
        return None
    try:
        return _copied(convert_to_element(latex, display="block" if display else "inline"), 0)
    # Whatever an unfinished formula does to a parser of a hundred rules (IndexError, RecursionError, its own errors):
    # the answer is the same, the source is shown.
    except Exception:
        return None


def _copied(element: Any, depth: int) -> str:
    if element.tag not in _ELEMENTS or depth > _MAX_DEPTH:
        raise ValueError(f"<{element.tag}>, {depth} deep")
    attributes = "".join(f' {k}="{v}"' for k, v in element.attrib.items() if _is_harmless(k, v))
    if element.attrib.get("notation") == "box":
        attributes += ' class="boxed"'
    # latex2mathml writes symbols as character references into the text.
    text = html.escape(html.unescape(element.text or ""))
    inner = "".join(_copied(child, depth + 1) for child in element)
    # MathML Core knows no menclose.
    tag = "mrow" if element.tag == "menclose" else element.tag
    return f"<{tag}{attributes}>{text}{inner}</{tag}>"


def _is_harmless(name: str, value: str) -> bool:
    return (
        (name in _BY_WORD and value in _WORDS)
        or (name in _BY_SIZE and _SIZE.fullmatch(value) is not None)
        or (name == "mathvariant" and value == "normal")
        or (name == "scriptlevel" and value in "0123")
    )
