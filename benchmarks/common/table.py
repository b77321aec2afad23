"""Numbers for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import median

__all__ = ["markdown", "spread"]


def spread(values: Sequence[float], form: str, *, show_range: bool = True) -> str:
    """The median and, of several, the range: `4.10 (3.95-4.30)`."""
    middle = form.format(median(values))
    if len(values) == 1 or not show_range:
        return middle
    bare = form.removesuffix("x")
    return f"{middle} ({bare.format(min(values))}-{bare.format(max(values))})"


def markdown(rows: Sequence[Mapping[str, str]]) -> str:
    """A Markdown table; the first row's keys are the header."""
    header = list(rows[0])
    lines = [header, ["---"] * len(header), *[[row.get(key, "") for key in header] for row in rows]]
    return "".join("| " + " | ".join(line) + " |\n" for line in lines)
