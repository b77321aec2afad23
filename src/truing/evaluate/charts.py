"""The geometry of the report's charts: numbers in, places in percent of the drawing out.

The page draws text as HTML at its own size and only lines as SVG, stretched to the space there is, so that a chart
reads as well on a phone as on paper.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from truing.evaluate.intervals import Interval

__all__ = [
    "Forest",
    "Frontier",
    "Line",
    "Mark",
    "Panel",
    "Place",
    "Points",
    "Route",
    "ends",
    "forest",
    "frontier",
    "panels",
    "ticks",
]

Points = Sequence[tuple[int, float]]
"""(step, value), in order of step."""

MOST_POINTS = 400
"""More than a chart has pixels to tell apart."""


@dataclass(frozen=True)
class Mark:
    """A labelled place on an axis, in percent of its length."""

    place: float
    value: float


@dataclass(frozen=True)
class Place:
    """One row of a forest plot: dot and bar in percent, clipped to the axis; None where there is nothing to draw."""

    name: str
    interval: Interval | None
    dot: float | None
    left: float | None
    width: float | None
    stands: str
    """`better`, `worse` or `level` by whether the interval clears the reference."""


@dataclass(frozen=True)
class Forest:
    """Estimates with their intervals on one axis, and the reference they are held against."""

    places: tuple[Place, ...]
    axis: tuple[Mark, ...]
    reference: float | None


def forest(
    rows: Mapping[str, Interval | None],
    *,
    reference: float | None = None,
    axis: tuple[float, float] | None = None,
) -> Forest:
    """Rows by name. `axis` is its ends; by default it is as wide as the intervals."""
    found = [i for i in rows.values() if i is not None and math.isfinite(i.value)]
    if axis is None:
        reached = [v for i in found for v in (i.value, i.low, i.high) if math.isfinite(v)]
        reached += [] if reference is None else [reference]
        axis = _widened(min(reached, default=0.0), max(reached, default=1.0))
    low, high = axis

    def at(value: float) -> float:
        return 100 * (min(max(value, low), high) - low) / (high - low)

    places = []
    for name, interval in rows.items():
        if interval is None or not math.isfinite(interval.value):
            places.append(Place(name, interval, None, None, None, "level"))
            continue
        left, right = at(interval.low), at(interval.high)
        stands = "level"
        if reference is not None:
            stands = "better" if interval.low > reference else "worse" if interval.high < reference else "level"
        places.append(Place(name, interval, at(interval.value), left, right - left, stands))
    marks = tuple(Mark(at(value), value) for value in ticks(low, high))
    return Forest(tuple(places), marks, None if reference is None else at(reference))


@dataclass(frozen=True)
class Line:
    """One curve: SVG paths in a 100 x 100 box, the raw values and, where they are noisy, their running mean."""

    label: str
    raw: str
    smooth: str
    first: float
    last: float


@dataclass(frozen=True)
class Panel:
    """One chart: a quantity over the steps of a stage, one or two lines."""

    title: str
    lines: tuple[Line, ...]
    axis: tuple[Mark, ...]
    first_step: int
    last_step: int


def panels(curves: Mapping[str, Points]) -> list[Panel]:
    """Curves as charts, in order. `a/chosen` and `a/rejected` share one, and so do `a` and `eval/a`."""
    left = dict(curves)
    made = []
    for name in curves:
        if name not in left:
            continue
        together = {name: left.pop(name)}
        partner = _partner(name)
        if partner in left:
            together[partner] = left.pop(partner)
        made.append(_panel(together))
    return made


@dataclass(frozen=True)
class Route:
    """One method's way: an SVG path in a 100 x 100 box, its stops in percent from the left and the top, and a hue."""

    name: str
    path: str
    stops: tuple[tuple[float, float], ...]
    hue: int


@dataclass(frozen=True)
class Frontier:
    """What is gained over what it costs: a route for each method, on two axes from 0 and from the lowest value."""

    routes: tuple[Route, ...]
    across: tuple[Mark, ...]
    up: tuple[Mark, ...]


def frontier(routes: Mapping[str, Sequence[tuple[float, float]]]) -> Frontier | None:
    """Routes of (cost, gain) by name; None where there is no finite point."""
    finite = {
        name: [(x, y) for x, y in points if math.isfinite(x) and math.isfinite(y)] for name, points in routes.items()
    }
    everything = [point for points in finite.values() for point in points]
    if not everything:
        return None
    right = max(max(x for x, _ in everything), 1e-9) * 1.04
    low, high = _widened(min(y for _, y in everything), max(y for _, y in everything))

    def at(point: tuple[float, float]) -> tuple[float, float]:
        return 100 * point[0] / right, 100 * (high - point[1]) / (high - low)

    ways = []
    for number, (name, points) in enumerate(finite.items()):
        places = tuple(at(p) for p in points)
        ways.append(Route(name, _path(places), places, round(215 + 360 * number / len(finite)) % 360))
    across = tuple(Mark(at((x, low))[0], x) for x in ticks(0.0, right))
    return Frontier(tuple(ways), across, tuple(Mark(at((0.0, y))[1], y) for y in ticks(low, high)))


def ticks(low: float, high: float, most: int = 5) -> list[float]:
    """At most `most` round values within low..high: steps of 1, 2, 2.5 or 5 times a power of ten."""
    assert low < high
    rough = (high - low) / most
    power = 10.0 ** math.floor(math.log10(rough))
    for factor in (1, 2, 2.5, 5, 10):
        step = factor * power
        first, last = math.ceil(low / step - 1e-9), math.floor(high / step + 1e-9)
        if last - first + 1 <= most:
            break
    return [round(k * step, 12) + 0.0 for k in range(first, last + 1)]


def _partner(name: str) -> str:
    if name.endswith("/chosen"):
        return name.removesuffix("/chosen") + "/rejected"
    return name.removeprefix("eval/") if name.startswith("eval/") else f"eval/{name}"


def _panel(curves: Mapping[str, Points]) -> Panel:
    finite = {name: [(s, v) for s, v in points if math.isfinite(v)] for name, points in curves.items()}
    steps = [s for points in curves.values() for s, _ in points]
    values = [v for points in finite.values() for _, v in points]
    low, high = _widened(min(values, default=0.0), max(values, default=1.0))
    first_step, last_step = min(steps, default=0), max(steps, default=0)
    span = max(1, last_step - first_step)

    def at(step: float, value: float) -> tuple[float, float]:
        return 100 * (step - first_step) / span, 100 * (high - value) / (high - low)

    names = list(curves)
    lines = []
    for name, points in curves.items():
        good = finite[name]
        smooth = _running_mean(good)
        first, last = ends(points)
        lines.append(
            Line(
                label=_label(name) if len(names) > 1 else "",
                raw=_path([at(*p) if math.isfinite(p[1]) else None for p in _thinned(points)]),
                smooth=_path([at(*p) for p in _thinned(smooth)]),
                first=first,
                last=last,
            )
        )
    axis = tuple(Mark(at(0, v)[1], v) for v in ticks(low, high, 4)) if values else ()
    title = names[0] if len(names) == 1 else _title(names[0])
    return Panel(title, tuple(lines), axis, first_step, last_step)


def _title(name: str) -> str:
    return name.removesuffix("/chosen").removeprefix("eval/")


def _label(name: str) -> str:
    for end in ("chosen", "rejected"):
        if name.endswith(f"/{end}"):
            return end
    return "held out" if name.startswith("eval/") else "training"


def _widened(low: float, high: float) -> tuple[float, float]:
    """A little room at both ends, and some for a value that never changes."""
    room = 0.06 * (high - low) if high > low else max(abs(low), 1.0) * 0.5
    return low - room, high + room


def ends(points: Points) -> tuple[float, float]:
    """Where a curve begins and ends: means of the first and last tenth of its finite values, as single steps are noisy.

    NaN where there is no finite value.
    """
    values = [value for _, value in points if math.isfinite(value)]
    if not values:
        return math.nan, math.nan
    count = max(1, len(values) // 10)
    return math.fsum(values[:count]) / count, math.fsum(values[-count:]) / count


def _running_mean(points: Points) -> list[tuple[float, float]]:
    """Mean over a centred window of a tenth of the curve, narrower at its ends; none for curves too short for noise."""
    if len(points) < 20:
        return []
    half = len(points) // 20
    sums = [0.0]
    for _, value in points:
        sums.append(sums[-1] + value)
    smooth = []
    for i, (step, _) in enumerate(points):
        first, last = max(0, i - half), min(len(points), i + half + 1)
        smooth.append((float(step), (sums[last] - sums[first]) / (last - first)))
    return smooth


def _thinned(points: Sequence[tuple[float, float]]) -> list[tuple[float, float]]:
    """At most about MOST_POINTS points: the lowest and the highest of each stretch, so that a spike survives."""
    if len(points) <= MOST_POINTS:
        return list(points)
    size = math.ceil(len(points) / (MOST_POINTS // 2))
    kept: list[tuple[float, float]] = []
    for i in range(0, len(points), size):
        stretch = points[i : i + size]
        finite = [p for p in stretch if math.isfinite(p[1])]
        if len(finite) < len(stretch):
            kept.append((stretch[0][0], math.nan))
        if finite:
            kept += sorted({min(finite, key=_height), max(finite, key=_height)})
    return kept


def _height(point: tuple[float, float]) -> float:
    return point[1]


def _path(places: Sequence[tuple[float, float] | None]) -> str:
    """An SVG path; a None breaks the line."""
    path, pen = [], "M"
    for place in places:
        if place is None:
            pen = "M"
            continue
        path.append(f"{pen}{place[0]:.2f} {place[1]:.2f}")
        pen = "L"
    return "".join(path)
