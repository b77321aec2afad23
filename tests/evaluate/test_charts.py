"""Where things stand in the charts."""

import math

import pytest

from truing.evaluate.charts import MOST_POINTS, ends, forest, panels, ticks
from truing.evaluate.intervals import Interval


def test_ticks_are_round_and_few() -> None:
    assert ticks(0.0, 1.0) == [0.0, 0.25, 0.5, 0.75, 1.0]
    assert ticks(-0.3, 3.2) == [0.0, 1.0, 2.0, 3.0]
    assert ticks(1e-5, 4.4e-5, 4) == pytest.approx([1e-5, 2e-5, 3e-5, 4e-5])


@pytest.mark.parametrize(("low", "high"), [(0.0, 1e-9), (-1e9, 3e9), (0.999, 1.001), (1e6, 1e6 + 0.5)])
def test_ticks_of_any_range_lie_inside_it(low: float, high: float) -> None:
    found = ticks(low, high)
    assert 1 <= len(found) <= 5
    room = 1e-6 * (high - low)
    assert all(low - room <= value <= high + room for value in found)


def test_a_win_rate_of_75_percent_stands_three_quarters_along() -> None:
    plot = forest({"DPO": Interval(0.75, 0.7, 0.8, 100)}, reference=0.5, axis=(0.0, 1.0))
    place = plot.places[0]
    assert (place.dot, place.left, place.width) == pytest.approx((75.0, 70.0, 10.0))
    assert plot.reference == 50.0


def test_a_model_is_better_or_worse_only_if_its_whole_interval_is() -> None:
    rows = {"a": Interval(0.6, 0.51, 0.7, 9), "b": Interval(0.6, 0.49, 0.7, 9), "c": Interval(0.3, 0.2, 0.49, 9)}
    assert [p.stands for p in forest(rows, reference=0.5, axis=(0, 1)).places] == ["better", "level", "worse"]


def test_an_interval_without_bounds_fills_the_axis_and_no_estimate_draws_nothing() -> None:
    plot = forest({"a": Interval(1.0, -math.inf, math.inf, 1), "b": None, "c": Interval(math.nan, 0, 1, 0)})
    assert (plot.places[0].left, plot.places[0].width) == (0.0, 100.0)
    assert plot.places[1].dot is None
    assert plot.places[2].dot is None


def test_a_curve_begins_and_ends_with_the_mean_of_a_tenth() -> None:
    assert ends([(s, float(s)) for s in range(1, 21)]) == (1.5, 19.5)
    assert ends([(1, 3.0), (2, math.nan), (3, 5.0)]) == (3.0, 5.0)
    assert all(math.isnan(v) for v in ends([(1, math.inf)]))


def test_a_rising_line_goes_from_the_bottom_left_to_the_top_right() -> None:
    (panel,) = panels({"reward": [(1, 0.0), (3, 1.0)]})
    # 6 % of room at both ends: 0.06 / 1.12 = 5.36 % of the height.
    assert panel.lines[0].raw == "M0.00 94.64L100.00 5.36"
    assert (panel.first_step, panel.last_step) == (1, 3)


def test_a_value_that_is_not_finite_breaks_the_line() -> None:
    (panel,) = panels({"loss": [(0, 1.0), (1, 1.0), (2, math.nan), (3, 1.0), (4, 1.0)]})
    assert panel.lines[0].raw == "M0.00 50.00L25.00 50.00M75.00 50.00L100.00 50.00"


def test_chosen_and_rejected_share_a_panel_and_so_do_training_and_held_out() -> None:
    points = [(1, 0.0), (2, 1.0)]
    names = ["loss", "rewards/chosen", "rewards/rejected", "eval/loss", "kl"]
    found = panels(dict.fromkeys(names, points))
    assert [(p.title, [line.label for line in p.lines]) for p in found] == [
        ("loss", ["training", "held out"]),
        ("rewards", ["chosen", "rejected"]),
        ("kl", [""]),
    ]


def test_a_long_curve_is_thinned_but_keeps_its_spike_and_its_gap() -> None:
    points = [(s, 0.0) for s in range(100_000)]
    points[54_321] = (54_321, 9.0)
    points[70_000] = (70_000, math.nan)
    (panel,) = panels({"loss": points})
    raw = panel.lines[0].raw
    assert raw.count("L") <= MOST_POINTS
    assert "54.32 5.36" in raw
    assert raw.count("M") == 2


def test_short_curves_are_not_smoothed_and_long_ones_level_out() -> None:
    (short,) = panels({"loss": [(s, float(s % 2)) for s in range(19)]})
    assert short.lines[0].smooth == ""
    (long,) = panels({"loss": [(s, float(s % 2)) for s in range(200)]})
    heights = [float(part.split()[1]) for part in long.lines[0].smooth[1:].split("L")]
    assert max(heights) - min(heights) < 10
    (empty,) = panels({"loss": []})
    assert empty.axis == ()
