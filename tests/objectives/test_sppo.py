from __future__ import annotations

import pytest

from truing.objectives.sppo import sppo

from .of_two import of_two


def test_each_response_has_a_target_of_its_own() -> None:
    # Targets ±0.5 / 0.5 = ±1.
    found = of_two(sppo, [0.25], [-0.5], beta=0.5)
    assert found.loss == pytest.approx(0.75**2 + 0.5**2)
    assert found.chosen == pytest.approx([-1.5])
    assert found.rejected == pytest.approx([1.0])


def test_a_win_rate_of_three_quarters_halves_the_targets() -> None:
    found = of_two(sppo, [0.5], [-0.5], beta=0.5, strength=0.75)
    assert found.loss == pytest.approx(0.0)


def test_rewards_are_on_the_scale_of_win_rates() -> None:
    found = of_two(sppo, [1.0], [-1.0], beta=0.5)
    assert found.metrics["rewards/chosen"] == pytest.approx(0.5)
    assert found.metrics["rewards/margins"] == pytest.approx(1.0)
