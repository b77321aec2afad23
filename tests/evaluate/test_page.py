"""The page as a browser and a hostile model would have it."""

import math
import re
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

import truing.evaluate.page as page
from truing.evaluate.intervals import Interval
from truing.evaluate.page import best, duration, number, percent, render, score
from truing.evaluate.report import Answer, Check, Comparison, Report, Row, Stage

XSS = (
    """<script>alert(1)</script><img src=x onerror="alert(2)">' " onload='x' </p></style>{{ 7*7 }}{% raw %}&lt;b&gt;"""
)


class Page(HTMLParser):
    """Tags, attributes and text of a page; complains of tags that do not match."""

    VOID = frozenset({"meta", "path", "br", "img", "link", "input"})

    def __init__(self, html: str) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text: list[str] = []
        self.feed(html)
        self.close()
        assert not self.open

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, text: str) -> None:
        if "style" not in self.open:
            self.text.append(text)


def hostile() -> Report:
    """Everything that can be text is an attack."""
    row = Row(XSS, Interval(1.0, 0.5, 1.5, 9), rates={XSS: Interval(0.5, 0.2, 0.8, 9)})
    return Report(
        title=XSS,
        summary=XSS,
        checks=[Check(XSS, False, XSS)],
        evaluation=[row],
        samples=[Comparison(XSS, {XSS: Answer(XSS, 1.0)})],
        stages=[Stage(XSS, XSS, XSS, {XSS: [(1, 1.0), (2, 2.0)]}, 1.0, {XSS: XSS})],
        timings={XSS: 1.0},
        environment={XSS: XSS},
        reproduce=[XSS],
        baseline=XSS,
    )


def test_attacks_are_shown_as_the_text_they_are() -> None:
    parsed = Page(render(hostile()))
    tags = {tag for tag, _ in parsed.tags}
    assert not tags & {"script", "img", "b>", "iframe", "object", "link", "base", "form"}
    assert not [name for _, attributes in parsed.tags for name in attributes if name.startswith("on")]
    assert "".join(parsed.text).count(XSS) >= 14


def test_the_page_forbids_itself_scripts_and_every_load(report: Report) -> None:
    parsed = Page(render(report))
    policy = next(a["content"] for tag, a in parsed.tags if a.get("http-equiv") == "Content-Security-Policy")
    assert policy is not None
    assert policy.startswith("default-src 'none'; style-src 'unsafe-inline'")


def test_nothing_is_loaded_from_anywhere(report: Report) -> None:
    html = render(report)
    assert "http://" not in html
    assert "https://" not in html
    assert "url(" not in html
    assert "@import" not in html
    assert not [a for _, a in Page(html).tags if a.keys() & {"src", "href", "srcset", "action", "data", "background"}]


def test_no_template_marks_anything_as_safe() -> None:
    for template in (Path(page.__file__).parent / "templates").iterdir():
        text = template.read_text(encoding="utf-8")
        assert not re.search(r"\|\s*safe|autoescape|Markup", text)


def test_control_characters_and_reordering_marks_do_not_reach_the_page() -> None:
    odd = "a\x00b\x1bc\ud83dd\u202ee\u2066f\x85g\nh\ti é 漢 🙂"
    html = render(Report("t", samples=[Comparison("p", {"m": Answer(odd)})]))
    assert "a\ufffdb\ufffdc\ufffdd\ufffde\ufffdf\ufffdg\nh\ti é 漢 🙂" in html
    html.encode("utf-8")


def test_missing_and_broken_numbers_are_shown_as_such() -> None:
    nan = math.nan
    report = Report(
        "t",
        evaluation=[
            Row("a"),
            Row("b", Interval(nan, -math.inf, math.inf, 0), None, nan, None, {"rate": Interval(nan, 0.0, 1.0, 0)}),
            Row("c", Interval(1.0, -math.inf, math.inf, 1), None, 0.5, 3.0),
        ],
        samples=[Comparison("p", {"a": Answer("x", nan), "b": Answer("y"), "c": Answer("")})],
        stages=[
            Stage("s", "does", curves={"loss": [(1, nan), (2, nan)], "kl": [], "reward": [(1, 1.0), (2, math.inf)]})
        ],
    )
    parsed = Page(render(report))
    text = " ".join("".join(parsed.text).split())
    assert "NaN −∞ to ∞" in text
    assert "1.00 −∞ to ∞" in text
    assert "no finite value" in text
    assert "(nothing)" in text
    assert "None" not in text
    assert not re.search(
        r"\bnan\b|\binf\b", " ".join(v or "" for _, a in parsed.tags for v in [a.get("d"), a.get("style")])
    )


def test_an_empty_report_is_a_page_with_its_title() -> None:
    parsed = Page(render(Report("Nothing yet")))
    assert parsed.text.count("Nothing yet") == 3  # title, eyebrow, headline


def test_columns_that_nobody_was_measured_on_are_left_out(report: Report) -> None:
    assert "KL from SFT" in render(report)
    without = replace(report, evaluation=[replace(row, kl=None) for row in report.evaluation])
    assert "KL from SFT" not in render(without)


def test_long_answers_and_many_samples_are_cut_and_say_so() -> None:
    samples = [Comparison(f"p{i}", {"m": Answer("x" * 5000)}) for i in range(30)]
    text = "".join(Page(render(Report("t", samples=samples))).text)
    assert "… (2,000 more characters in report.json)" in text
    assert "6 more in report.json." in text
    assert "p23" in text
    assert "p24" not in text


def test_a_long_job_stays_under_two_megabytes() -> None:
    points = [(s, math.sin(s)) for s in range(50_000)]
    stages = [Stage(f"s{i}", "d", curves={f"m{j}": points for j in range(6)}) for i in range(5)]
    samples = [Comparison("p" * 500, {m: Answer("x" * 5000, 1.0) for m in "abcd"}) for _ in range(50)]
    assert len(render(Report("t", stages=stages, samples=samples)).encode()) < 2_000_000


def test_the_best_answer_is_marked_if_there_is_one() -> None:
    assert best({"a": Answer("", 1.0), "b": Answer("", 2.0), "c": Answer("")}) == ["b"]
    assert best({"a": Answer("", 2.0), "b": Answer("", 2.0)}) == []
    assert best({"a": Answer("", math.nan), "b": Answer("")}) == []


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (0.3261, "0.326"),
        (-2.391, "−2.39"),
        (41.26, "41.3"),
        (1204.4, "1,204"),
        (6e-4, "0.0006"),
        (2.5e-7, "2.5e−07"),
        (0.0, "0.000"),
        (1200, "1,200"),
        (-math.inf, "−∞"),
        (None, "–"),
        ("as it is", "as it is"),
    ],
)
def test_numbers_have_about_three_figures(value: float | str | None, text: str) -> None:
    assert number(value) == text


def test_percent_never_claims_all_or_nothing_for_what_is_not_quite() -> None:
    assert [percent(v) for v in (0.0, 0.001, 0.814, 0.999, 1.0, math.nan, None)] == [
        "0%",
        "<1%",
        "81%",
        ">99%",
        "100%",
        "NaN",
        "–",
    ]


def test_scores_line_up_and_durations_are_said_in_words() -> None:
    assert [score(v) for v in (2.0, -0.151, math.inf)] == ["2.00", "−0.15", "∞"]
    assert [duration(s) for s in (4.24, 48.4, 185, 7620, math.nan)] == [
        "4.2 s",
        "48 s",
        "3 min 05 s",
        "2 h 07 min",
        "NaN",
    ]
