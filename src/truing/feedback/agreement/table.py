"""The report as text."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING

from truing.evaluate.intervals import Interval
from truing.feedback.agreement.coefficients import Coefficient

if TYPE_CHECKING:
    from truing.feedback.agreement.report import Agreement, Pair, Report

__all__ = ["text", "verdict"]

_MOST_PAIRS = 15
_MOST_LINES = 8
_FEWEST_SHARED = 10
_LONGEST_NAME = 60
_NAMES = {
    "percent": "same answer",
    "cohen": "Cohen's kappa",
    "fleiss": "Fleiss' kappa",
    "alpha_nominal": "alpha, nominal",
    "alpha_ordinal": "alpha, ordinal",
    "alpha_interval": "alpha, interval",
}


def _number(interval: Interval | None, *, percent: bool = False) -> str:
    if interval is None or math.isnan(interval.value):
        return "–"
    if percent:
        return f"{interval.value:6.1%}  {interval.low:.1%} .. {interval.high:.1%}"
    return f"{interval.value:6.3f}  {interval.low:.3f} .. {interval.high:.3f}"


def verdict(found: Coefficient, target: float) -> str:
    """Whether the target is met, and how sure that is."""
    if math.isnan(found.value):
        return f"cannot be said: {found.why}"
    if found.value >= target:
        return "met" if found.low >= target else f"met, not surely: the interval begins at {found.low:.3f}"
    return "not met" if found.high < target else f"not met, perhaps: the interval ends at {found.high:.3f}"


def _short(name: str) -> str:
    return name if len(name) <= _LONGEST_NAME else f"{name[: _LONGEST_NAME - 1]}…"


def _columns(rows: Sequence[Sequence[str]]) -> list[str]:
    widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
    return ["  " + "  ".join(f"{cell:{w}}" for cell, w in zip(row, widths, strict=True)).rstrip() for row in rows]


def _pair_row(pair: Pair, with_weighted: bool) -> list[str]:
    row = [f"{_short(pair.first)}, {_short(pair.second)}", str(pair.num_items)]
    if pair.kappa is not None:
        row += [_number(pair.same, percent=True), _number(pair.kappa.interval)]
    if with_weighted:
        row.append(_number(pair.weighted.interval if pair.weighted else None))
    return row


def _pair_lines(found: Agreement) -> list[str]:
    categorical = any(pair.kappa is not None for pair in found.pairs)
    with_weighted = any(pair.weighted is not None for pair in found.pairs)
    head = ["annotators", "items"]
    if categorical:
        head += ["same answer", "Cohen's kappa"]
    if with_weighted:
        head.append("quadratic kappa" if categorical else "alpha, interval")
    lines = _columns([head, *(_pair_row(pair, with_weighted) for pair in found.pairs[:_MOST_PAIRS])])
    if len(found.pairs) > _MOST_PAIRS:
        lines.append(f"  … {len(found.pairs) - _MOST_PAIRS} more pairs with fewer items in common (--json)")
    return lines


def _annotator_lines(found: Agreement) -> list[str]:
    told = [each for each in found.annotators if each.same is not None and each.num_shared >= _FEWEST_SHARED]
    if len(found.annotators) < 3 or not told:
        return []
    rows = [[each.name, f"{each.num_shared} of {each.num_items}", f"{each.same:6.1%}"] for each in told[:_MOST_LINES]]
    lines = [
        "",
        f"  who agrees least with the others, of those with {_FEWEST_SHARED} shared items or more",
        *_columns([["annotator", "shared", "same answer"], *rows]),
    ]
    return [*lines, f"  … {len(told) - _MOST_LINES} more (--json)"] if len(told) > _MOST_LINES else lines


def _where_lines(found: Agreement) -> list[str]:
    lines = []
    if found.confusions:
        total = sum(found.confusions.values())
        shares = [
            f"{_short(name)}: {times} ({times / total:.0%})" for name, times in list(found.confusions.items())[:6]
        ]
        lines += ["", "  disagreements  " + ", ".join(shares)]
    if found.by:
        worst = [
            f"{_short(name)}: {share:.1%} of {number}" for name, (number, share) in list(found.by.items())[:_MOST_LINES]
        ]
        lines += ["", "  same answer by column  " + ", ".join(worst)]
    if found.differences:
        lines += ["", "  most disputed"]
    for each in found.differences[:5]:
        said = ", ".join(f"{_short(who)}: {_short(what)}" for who, what in list(each.said.items())[:6])
        part = f" ({each.part})" if each.part else ""
        lines += [f"  {each.where}{part}  {each.excerpt}", f"      {said}"]
    return lines


def _question_lines(found: Agreement, target: float) -> list[str]:
    lines = [
        "",
        f"{found.name}: {found.num_ratings} ratings of {found.num_items} items by {len(found.annotators)} annotators; "
        f"{found.num_shared} items by two or more",
    ]
    if found.num_repeats:
        alike = f"{found.num_repeats_alike} of them the same again"
        lines.append(f"  {found.num_repeats} times somebody judged an item again ({alike}); the first judgement counts")
    rows = [
        [_NAMES[name], _number(each.interval, percent=name == "percent"), each.why or ""]
        for name, each in found.overall.items()
    ]
    lines += _columns([["overall", "value  95 % interval", ""], *rows])
    headline = found.overall[found.headline]
    lines += [f"  target {target:g} for {_NAMES[found.headline]}: {verdict(headline, target)}", ""]
    return [*lines, *_pair_lines(found), *_annotator_lines(found), *_where_lines(found)]


def text(report: Report) -> str:
    """For people, a section a question."""
    lines = [f"{report.source}: {report.num_groups} rows"]
    if report.num_skipped:
        lines.append(f"skipped: {report.num_skipped} rows that cannot be read")
    lines += [f"left out: {number} {why}" for why, number in report.left_out.items()]
    lines += [f"{name}: {number} items, none judged by two" for name, number in report.lonely.items()]
    for each in report.questions:
        lines += _question_lines(each, report.target)
    # Names and texts are strangers', and a terminal obeys what it is told.
    return "\n".join("".join(c if c.isprintable() else "?" for c in line) for line in lines)
