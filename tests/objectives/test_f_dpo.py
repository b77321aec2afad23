from __future__ import annotations

import math

import pytest

from truing.objectives.f_dpo import f_dpo

from .of_two import of_two

TWICE, HALF = [math.log(2)], [math.log(1 / 2)]  # π / π_ref


@pytest.mark.parametrize(
    ("divergence", "margin"),
    [
        ("reverse_kl", math.log(2) - math.log(1 / 2)),
        ("forward_kl", -1 / 2 + 2),
        ("jensen_shannon", math.log(4 / 3) - math.log(2 / 3)),
        ("alpha", (2**0.5 - 0.5**0.5) / 0.5),  # alpha 1/2: u^-1/2 is 0.7071 and 1.4142
    ],
)
def test_the_margin_is_the_difference_of_slopes(divergence: str, margin: float) -> None:
    found = of_two(f_dpo, TWICE, HALF, divergence=divergence, beta=1.0)
    assert found.loss == pytest.approx(math.log(1 + math.exp(-margin)))
    assert found.metrics["rewards/margins"] == pytest.approx(margin)


@pytest.mark.parametrize("divergence", ["reverse_kl", "forward_kl", "jensen_shannon", "alpha"])
def test_at_the_reference_every_divergence_is_log_2_and_has_reward_0(divergence: str) -> None:
    found = of_two(f_dpo, [0.0], [0.0], divergence=divergence)
    assert found.loss == pytest.approx(math.log(2))
    assert found.metrics["rewards/chosen"] == pytest.approx(0.0, abs=1e-15)


def test_the_slope_of_jensen_shannon_is_half_as_steep_at_the_reference() -> None:
    # d/dΔ log(2u/(1+u)) = 1/(1+u) = 1/2.
    assert of_two(f_dpo, [0.0], [0.0], divergence="reverse_kl", beta=1.0).chosen == pytest.approx([-0.5])
    assert of_two(f_dpo, [0.0], [0.0], divergence="jensen_shannon", beta=1.0).chosen == pytest.approx([-0.25])


def test_alpha_goes_from_reverse_to_forward() -> None:
    near_0, near_1 = (of_two(f_dpo, TWICE, HALF, divergence="alpha", alpha=a).loss for a in (1e-7, 1 - 1e-7))
    assert near_0 == pytest.approx(of_two(f_dpo, TWICE, HALF, divergence="reverse_kl").loss)
    assert near_1 == pytest.approx(of_two(f_dpo, TWICE, HALF, divergence="forward_kl").loss)


def test_a_chosen_response_that_was_given_up_still_has_a_gradient() -> None:
    found = of_two(f_dpo, [-200.0], [0.0], divergence="forward_kl", beta=1.0)
    assert found.chosen == pytest.approx([-math.exp(20)])
