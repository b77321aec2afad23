"""Whatever a model wrote comes out as harmless text."""

from __future__ import annotations

import re
import time
from html.parser import HTMLParser

import pytest

from truing.studio.formulas import mathml
from truing.studio.rendering import PART, parts, plain, render, whole

ALLOWED = {
    "p",
    "h4",
    "h5",
    "h6",
    "ul",
    "ol",
    "li",
    "strong",
    "em",
    "s",
    "code",
    "pre",
    "blockquote",
    "hr",
    "br",
    "a",
    "table",
    "thead",
    "tbody",
    "tr",
    "th",
    "td",
    "span",
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
    "mtable",
    "mtr",
    "mtd",
    "mstyle",
    "mpadded",
    "mphantom",
}
SAFE = {
    "dir",
    "class",
    "title",
    "href",
    "target",
    "rel",
    "tabindex",
    "start",
    "display",
    "stretchy",
    "fence",
    "form",
    "accent",
    "accentunder",
    "movablelimits",
    "separator",
    "displaystyle",
    "width",
    "minsize",
    "maxsize",
    "lspace",
    "rspace",
    "linethickness",
    "mathvariant",
    "scriptlevel",
}


class Tags(HTMLParser):
    def __init__(self, html: str) -> None:
        super().__init__()
        self.found: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(str(html))

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.found.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += data


HOSTILE = [
    "<script>alert(1)</script>",
    "<img src=x onerror=alert(1)>",
    "[x](javascript:alert(1))",
    "[x](data:text/html,x)",
    "[x](vbscript:x) [y](/admin) [z](//evil.example) [w](#a)",
    "![x](https://evil.example/x.png)",
    "<style>*{display:none}</style>",
    r"$\text{<script>alert(1)</script>}$ $\href{javascript:alert(1)}{x}$ $\style{color:red}{x}$ $\class{top}{x}$",
    r"\[ \rule{100em}{100em} \hspace{99em} \color{red}{x} \]",
    "```</code><script>\n<b>\n```",
    "<a href='x' onclick='y'>z</a> &lt;b&gt; <!-- c --> <?php ?> <![CDATA[x]]>",
    "|a|b|\n|:-:|-:|\n|<b>|$x<y$|",
    "[x](https://ok.example \"a' onx='1\")",
]


@pytest.mark.parametrize("text", HOSTILE)
def test_only_harmless_elements_and_attributes_come_out(text: str) -> None:
    for tag, attributes in Tags(render(text)).found:
        assert tag in ALLOWED
        assert set(attributes) <= SAFE
        href = attributes.get("href")
        assert href is None or re.match(r"https?://|mailto:", href)
        assert tag != "a" or attributes["rel"] == "noopener noreferrer nofollow ugc"


def test_html_is_shown_as_it_was_written() -> None:
    assert Tags(render("<script>alert(1)</script>")).text.strip() == "<script>alert(1)</script>"


def test_an_image_is_its_name_and_address_and_is_not_fetched() -> None:
    assert Tags(render("![a cat](https://evil.example/x.png)")).text.strip() == (
        "Image: a cat (https://evil.example/x.png)"
    )


def test_characters_that_turn_the_text_are_shown_by_number() -> None:
    out = render("abc\u202edef\u200bghi")
    assert "\u202e" not in out
    assert "\u200b" not in out
    assert Tags(out).text.strip() == "abcU+202EdefU+200Bghi"
    assert Tags(plain("a\u2066b")).text == "aU+2066b"


def test_words_that_need_joiners_keep_them() -> None:
    assert "می\u200cخواهم" in render("می\u200cخواهم")


def test_markdown_is_rendered() -> None:
    out = render("# Title\n\n**bold** and `code`\n\n1. one\n2. two\n\n| a | b |\n|---|--:|\n| 1 | 2 |")
    tags = [tag for tag, _ in Tags(out).found]
    assert tags[:4] == ["h4", "p", "strong", "code"]
    assert tags.count("li") == 2
    assert '<td dir="auto" class="right">2</td>' in out


@pytest.mark.parametrize("text", [r"$\frac{a}{b}$", r"\(\frac{a}{b}\)", r"$$\frac{a}{b}$$", "\\[\n\\frac{a}{b}\n\\]"])
def test_formulas_become_mathml(text: str) -> None:
    assert "<mfrac><mrow><mi>a</mi></mrow><mrow><mi>b</mi></mrow></mfrac>" in render(text)


@pytest.mark.parametrize("text", ["It costs $5 and $6.", "a$ b$", "$ x$", "$x", r"\( "])
def test_dollars_that_are_money_stay_money(text: str) -> None:
    assert "<math" not in render(text)
    assert "$" in render(text) or "(" in render(text)


def test_an_unfinished_formula_is_shown_as_its_source() -> None:
    assert Tags(render(r"$\frac{$")).text.strip() == r"$\frac{$"


@pytest.mark.parametrize("latex", [r"\def\a{x}\a", r"\newcommand{\a}{x}\a", "{" * 1500, "x" * 3000])
def test_formulas_that_define_or_never_end_are_refused(latex: str) -> None:
    assert mathml(latex, display=False) is None


def test_sizes_in_a_formula_cannot_leave_its_box() -> None:
    out = mathml(r"\hspace{99em}\hspace{2em}", display=False)
    assert out is not None
    assert "99" not in out
    assert 'width="2em"' in out


def test_a_long_text_is_cut_into_parts_that_lose_nothing() -> None:
    text = "".join(f"Paragraph {i} has some words.\n\n" for i in range(40_000))
    cut = parts(text)
    assert len(text) > 1_000_000
    assert "".join(cut) == text
    assert max(map(len, cut)) <= PART
    assert all(part.startswith("Paragraph") for part in cut)


def test_a_code_block_that_is_cut_goes_on_in_the_next_part() -> None:
    cut = parts("```python\n" + "x = '<b>'\n" * 3000 + "```\n\n**after**")
    assert len(cut) == 3
    assert all(Tags(render(part)).found[0][0] == "pre" for part in cut)
    assert render(cut[-1]).endswith("<strong>after</strong></p>\n")


def test_one_word_of_a_million_letters_is_cut_too() -> None:
    assert "".join(parts("x" * 1_000_000)) == "x" * 1_000_000


@pytest.mark.parametrize(
    "text", ["[" * PART, "![a" * (PART // 3), "*a **a " * (PART // 7), "> " * (PART // 2), "`a``b" * (PART // 5)]
)
def test_no_text_takes_long(text: str) -> None:
    start = time.process_time()
    render(text)
    assert time.process_time() - start < 2


def test_a_whole_text_is_all_its_parts() -> None:
    text = "\n\n".join(f"paragraph {i} " + "word " * 500 for i in range(20))
    assert len(parts(text)) > 1
    assert Tags(whole(text)).text.split() == text.split()
