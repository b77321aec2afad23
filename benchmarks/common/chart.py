"""Small charts in one SVG: measured points with a line through them, and a dashed line to hold them against."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from html import escape

__all__ = ["Panel", "svg"]

WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM = 300, 210, 46, 34, 14, 38
COLUMNS = 3


@dataclass(frozen=True, slots=True)
class Panel:
    """One chart from 0 on both axes; `line` is dashed."""

    title: str
    across: str
    points: Sequence[tuple[float, float]]
    line: Sequence[tuple[float, float]] = ()


def svg(panels: Sequence[Panel], title: str) -> str:
    """The charts, three in a row."""
    rows = -(-len(panels) // COLUMNS)
    width, height = WIDTH * min(COLUMNS, len(panels)), HEIGHT * rows
    drawn = "".join(
        f'<g transform="translate({number % COLUMNS * WIDTH} {number // COLUMNS * HEIGHT})">{_panel(panel)}</g>\n'
        for number, panel in enumerate(panels)
    )
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" height="{height}" '
        f'font-family="sans-serif" font-size="11" role="img" aria-label="{escape(title)}">\n<title>{escape(title)}'
        f'</title>\n<rect width="{width}" height="{height}" fill="#fff"/>\n{drawn}</svg>\n'
    )


def _panel(panel: Panel) -> str:
    from truing.evaluate.charts import ticks

    everything = [*panel.points, *panel.line]
    right, high = (1.06 * (max(point[axis] for point in everything) or 1.0) for axis in (0, 1))
    inner, tall = WIDTH - LEFT - RIGHT, HEIGHT - TOP - BOTTOM

    def at(x: float, y: float) -> tuple[float, float]:
        return LEFT + inner * x / right, TOP + tall * (1 - y / high)

    parts = [f'<text x="{LEFT}" y="18" font-weight="bold">{escape(panel.title)}</text>']
    for value in ticks(0.0, high):
        y = at(0, value)[1]
        parts.append(f'<path d="M{LEFT} {y:.1f}H{WIDTH - RIGHT}" stroke="#ddd"/>')
        parts.append(f'<text x="{LEFT - 5}" y="{y + 4:.1f}" text-anchor="end" fill="#555">{_said(value)}</text>')
    for value in ticks(0.0, right, 4):
        x = at(value, 0)[0]
        parts.append(f'<text x="{x:.1f}" y="{TOP + tall + 15}" text-anchor="middle" fill="#555">{_said(value)}</text>')
    across = f'x="{LEFT + inner / 2}" y="{HEIGHT - 6}" text-anchor="middle" fill="#555"'
    parts.append(f"<text {across}>{escape(panel.across)}</text>")
    if panel.line:
        parts.append(
            f'<path d="{_path([at(*p) for p in panel.line])}" fill="none" stroke="#999" stroke-dasharray="4"/>'
        )
    places = [at(*p) for p in panel.points]
    parts.append(f'<path d="{_path(places)}" fill="none" stroke="#1f6feb" stroke-width="1.5"/>')
    parts += [f'<circle cx="{x:.1f}" cy="{y:.1f}" r="3" fill="#1f6feb"/>' for x, y in places]
    return "".join(parts)


def _path(places: Sequence[tuple[float, float]]) -> str:
    return "M" + "L".join(f"{x:.1f} {y:.1f}" for x, y in places)


def _said(value: float) -> str:
    for unit, letter in ((1e6, "M"), (1e3, "k")):
        if value >= unit:
            return f"{value / unit:g}{letter}"
    return f"{value:g}"
