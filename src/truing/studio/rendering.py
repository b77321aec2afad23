"""Untrusted Markdown, code and mathematics as HTML that cannot do anything.

What a model wrote is hostile: HTML in it is text, an image is its name, a link goes to http, https or mail only and
carries no trust, a formula is rebuilt from a list of harmless elements, and characters that turn or hide text are
shown by their number. Nothing has an id, a class or a style that the text chose.

A long text is cut into parts at blank lines; whoever shows it asks for one part at a time.
"""

from __future__ import annotations

import html
import re
from collections.abc import MutableMapping, Sequence
from functools import lru_cache
from typing import Any

from markdown_it import MarkdownIt
from markdown_it.renderer import RendererHTML
from markdown_it.rules_core import StateCore
from markdown_it.rules_inline import StateInline
from markdown_it.token import Token
from markupsafe import Markup

from truing.studio.formulas import MAX_FORMULA, mathml

__all__ = ["PART", "parts", "plain", "render", "whole"]

PART = 12_000
"""Characters of the longest part: the worst text known takes markdown-it a fifth of a second at this length."""

_SHOWN = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f"
    "\u00ad\u061c\u180e\u200b\u200e\u200f\u2028\u2029\u202a-\u202e\u2060-\u2064\u2066-\u206f\ufeff\ufff9-\ufffb"
    "\U000e0000-\U000e007f]"
)
"""Controls, what turns the direction of reading, and what is there without being seen. U+200C and U+200D stay: Persian,
Indic scripts and emoji are written with them."""
_TURNING = frozenset("\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")
_LINK = re.compile(r"(https?://|mailto:)[^\s]", re.IGNORECASE)
_OPENERS = {r"\(": (r"\)", False), r"\[": (r"\]", True), "$$": ("$$", True), "$": ("$", False)}


def plain(text: str) -> Markup:
    """The text as it is, with hidden characters shown."""
    return Markup(_SHOWN.sub(_shown, html.escape(text)))


@lru_cache(maxsize=512)
def render(text: str) -> Markup:
    """One part as HTML. Longer texts are cut with `parts` first."""
    assert len(text) <= 2 * PART, "one part at a time"
    try:
        return Markup(_MARKDOWN.render(text))
    except RecursionError:
        return Markup("<pre>{}</pre>").format(plain(text))


def whole(text: str) -> Markup:
    """All parts of a text as HTML, one after the other."""
    return Markup("").join(render(part) for part in parts(text))


@lru_cache(maxsize=64)
def parts(text: str) -> tuple[str, ...]:
    """The text in parts of at most about `PART` characters, cut at a blank line where there is one, else at a line's or
    a word's end. A code block that is cut goes on in the next part."""
    cut: list[str] = []
    start, reopened = 0, ""
    while len(text) - start > PART:
        end = _end(text, start)
        piece = reopened + text[start:end]
        fence = _open_fence(piece)
        cut.append(piece + (f"\n{fence}" if fence else ""))
        reopened = f"{fence}\n" if fence else ""
        start = end
    return (*cut, reopened + text[start:])


def _end(text: str, start: int) -> int:
    for mark in ("\n\n", "\n", " "):
        found = text.rfind(mark, start + PART // 2, start + PART)
        if found >= 0:
            return found + len(mark)
    return start + PART


def _open_fence(piece: str) -> str:
    """The fence that is open at the end, or nothing."""
    fence = ""
    for line in piece.split("\n"):
        found = re.match(r" {0,3}(`{3,40}|~{3,40})(.*)", line)
        if not found:
            continue
        if not fence:
            # An info string of backticks has none in it, else it is a code span.
            fence = found[1] if found[1][0] == "~" or "`" not in found[2] else ""
        elif found[1].startswith(fence) and not found[2].strip():
            fence = ""
    return fence


def _shown(match: re.Match[str]) -> str:
    number = f"U+{ord(match[0]):04X}"
    what = "turns the direction of the text" if match[0] in _TURNING else "is invisible"
    return f'<span class="hidden-character" title="A character that {what}">{number}</span>'


def _is_safe_link(url: str) -> bool:
    # Relative links would lead into this application.
    return _LINK.match(url) is not None


class _Renderer(RendererHTML):
    """Every place where text of the author comes out."""

    def text(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        return plain(tokens[idx].content)

    def code_inline(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        return f'<code dir="auto">{plain(tokens[idx].content)}</code>'

    def code_block(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        # Reachable by the keyboard, because it may scroll.
        return f'<pre tabindex="0"><code>{plain(tokens[idx].content)}</code></pre>\n'

    def fence(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        return self.code_block(tokens, idx, options, env)

    def image(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        alt = self.renderInlineAsText(tokens[idx].children, options, env)
        return f'<span class="image">Image: {plain(alt)} ({plain(str(tokens[idx].attrGet("src") or ""))})</span>'

    def link_open(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        url = html.escape(str(tokens[idx].attrGet("href") or ""))
        return f'<a href="{url}" title="{url}" target="_blank" rel="noopener noreferrer nofollow ugc" dir="auto">'

    def formula(self, tokens: Sequence[Token], idx: int, options: Any, env: Any) -> str:
        token = tokens[idx]
        made = mathml(token.content, display=token.meta["display"])
        if made is not None:
            return f'<span class="formula{" display" if token.meta["display"] else ""}">{made}</span>'
        return f'<code dir="auto">{plain(token.markup + token.content + _OPENERS[token.markup][0])}</code>'


def _formula(state: StateInline, silent: bool) -> bool:
    r"""$x$, $$x$$, \(x\) and \[x\]. A dollar that opens has no space after it, one that closes none before it and no
    digit after it (Pandoc's rule), so that prices stay prices."""
    source, start = state.src, state.pos
    if source[start] not in "$\\":
        return False
    opener = next((o for o in _OPENERS if source.startswith(o, start)), None)
    if opener is None:
        return False
    closer, display = _OPENERS[opener]
    begin = start + len(opener)
    end = source.find(closer, begin, min(state.posMax, begin + MAX_FORMULA))
    content = source[begin:end] if end > 0 else ""
    if not content.strip():
        return False
    if opener == "$":
        after = source[end + 1 : end + 2]
        if content[0].isspace() or content[-1].isspace() or after.isdigit() or content.endswith("\\"):
            return False
    if not silent:
        token = state.push("formula", "", 0)
        token.content, token.markup, token.meta = content, opener, {"display": display}
    state.pos = end + len(closer)
    return True


def _settle(state: StateCore) -> None:
    """Every block finds its own direction, headings stand below ours, columns are aligned without a style."""
    for token in state.tokens:
        if token.nesting == 1 and token.type != "inline":
            token.attrSet("dir", "auto")
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(int(token.tag[1]) + 3, 6)}"
        style = str(token.attrs.pop("style", ""))
        if style.endswith(("right", "center")):
            token.attrSet("class", style.removeprefix("text-align:"))


def _markdown() -> MarkdownIt:
    options: MutableMapping[str, Any] = {"html": False, "linkify": False, "typographer": False, "maxNesting": 20}
    markdown = MarkdownIt("commonmark", options, renderer_cls=_Renderer).enable(["table", "strikethrough"])
    markdown.inline.ruler.before("escape", "formula", _formula)
    markdown.core.ruler.push("settle", _settle)
    markdown.validateLink = _is_safe_link  # type: ignore[method-assign]
    return markdown


_MARKDOWN = _markdown()
