from __future__ import annotations

import xml.etree.ElementTree as ET
from dataclasses import replace

import pytest
from common.chart import Panel, svg
from common.groups import Lengths
from common.limit import forward, step
from common.models import Size
from scaling import Point, axes, exponent, needed

TINY = Size(hidden=2, layers=3, heads=1, key_heads=1, inner=5, vocabulary=7, head_width=2)
BATCH = Lengths(groups=1, prompt=2, response=1.5, once=5, useful=7, trained=3, seen=11, copied=14)


def test_the_exponent_of_a_power_is_its_exponent() -> None:
    assert exponent([(1, 3), (2, 12), (4, 48)]) == pytest.approx(2)
    assert exponent([(1, 5), (10, 5)]) == 0


def test_a_frozen_weight_needs_no_gradient_and_an_adapters_does() -> None:
    assert needed(Point(TINY), BATCH) == step(TINY, BATCH, passes=4)
    # a layer of rank 1: q, k, v, o of 2 + 2, three matrices of 2 + 5; two operations, three times, for each of 5 tokens
    adapters = 3 * 2 * 3 * (4 * 4 + 3 * 7) * 5
    assert needed(Point(TINY, rank=1), BATCH) == 3 * forward(TINY, 5, 3, 11) + adapters


def test_one_thing_grows_at_a_time() -> None:
    base = replace(TINY, layers=4)
    for name, points in axes(base).items():
        changed = {(p.size, p.shape, p.groups, p.rank) for p in points}
        assert len(changed) == len(points), name
        varied = [len({getattr(p, part) for p in points}) > 1 for part in ("size", "shape", "groups", "rank")]
        assert sum(varied) == 1, name


def test_a_chart_starts_at_zero_and_escapes_its_words() -> None:
    drawn = svg([Panel("a < b", "x", [(0, 0), (100, 10)], [(50, 5)])] * 4, "all")
    root = ET.fromstring(drawn)
    assert "a &lt; b" in drawn
    assert root.get("viewBox") == "0 0 900 420"
    first = root.findall(".//{*}g")[0]
    low, high = first.findall("{*}circle")
    assert (low.get("cx"), low.get("cy")) == ("46.0", "172.0")  # the corner of the axes
    assert float(high.get("cx") or 0) == pytest.approx(46 + 240 / 1.06, abs=0.1)
