from __future__ import annotations

import math

import pytest

from truing.objectives.nca import nca

from .of_two import of_two


def test_nca_is_twice_log_2_when_policy_equals_reference() -> None:
    found = of_two(nca, [0.0], [0.0], beta=1.0)
    assert found.loss == pytest.approx(2 * math.log(2))
    assert found.chosen == pytest.approx([-0.25])  # -1/2 + 1/2 · 1/2
    assert found.rejected == pytest.approx([0.25])


def test_the_chosen_response_is_content_with_a_reward_of_log_2() -> None:
    found = of_two(nca, [math.log(2)], [0.0], beta=1.0)
    assert found.chosen == pytest.approx([0.0])


def test_the_chosen_response_does_not_look_at_the_rejected_one() -> None:
    assert of_two(nca, [0.3], [5.0]).chosen == pytest.approx(of_two(nca, [0.3], [-5.0]).chosen)


def test_a_strength_of_one_half_has_no_gradient_at_the_reference() -> None:
    found = of_two(nca, [0.0], [0.0], strength=0.5)
    assert found.chosen == found.rejected == pytest.approx([0.0])
