import math
from typing import Any

import pytest
import torch

from truing.objectives.bradley_terry import bradley_terry
from truing.reduce import Term


def of_two(better: float, worse: float, *, strength: float = 1.0, margin: float = 0.0, **settings: Any) -> Term:
    rewards = torch.tensor([better, worse], dtype=torch.float64, requires_grad=True)
    pair = (torch.tensor([0]), torch.tensor([1]))
    said = (torch.tensor([strength], dtype=torch.float64), torch.tensor([margin], dtype=torch.float64))
    return bradley_terry(rewards, *pair, *said, **settings)


def slope(better: float, worse: float, **more: Any) -> float:
    rewards = torch.tensor([better, worse], dtype=torch.float64, requires_grad=True)
    strength, margin = more.pop("strength", 1.0), more.pop("margin", 0.0)
    said = (torch.tensor([strength], dtype=torch.float64), torch.tensor([margin], dtype=torch.float64))
    bradley_terry(rewards, torch.tensor([0]), torch.tensor([1]), *said, **more).values.sum().backward()
    assert rewards.grad is not None
    return rewards.grad[0].item()


def test_equal_rewards_cost_log_2() -> None:
    assert of_two(3.0, 3.0).values.item() == pytest.approx(math.log(2))


def test_a_gap_of_log_3_is_a_probability_of_three_quarters() -> None:
    assert of_two(math.log(3), 0.0).values.item() == pytest.approx(math.log(4 / 3))
    assert slope(math.log(3), 0.0) == pytest.approx(-0.25)


def test_a_margin_is_taken_off_the_gap() -> None:
    assert of_two(2.0, 0.5, margin=1.5).values.item() == pytest.approx(math.log(2))
    assert of_two(2.0, 0.5, margin=1.5).metrics["rewards/margins"].item() == 1.5


def test_a_preference_of_0_9_means_a_gap_of_2_197() -> None:
    assert math.log(9) == pytest.approx(2.197, abs=5e-4)
    assert slope(math.log(9), 0.0, strength=0.9) == pytest.approx(0.0, abs=1e-12)
    assert slope(2.0, 0.0, strength=0.9) < 0 < slope(2.4, 0.0, strength=0.9)


def test_a_coin_toss_has_no_gradient_at_equality() -> None:
    assert slope(1.0, 1.0, strength=0.5) == 0.0


def test_centring_costs_the_square_of_the_sum() -> None:
    plain, centred = of_two(2.0, 1.0), of_two(2.0, 1.0, centering=0.01)
    assert (centred.values - plain.values).item() == pytest.approx(0.01 * 9)
    assert slope(2.0, 1.0, centering=0.01) - slope(2.0, 1.0) == pytest.approx(0.01 * 2 * 3)


def test_without_centring_a_constant_added_to_all_rewards_changes_nothing() -> None:
    assert of_two(2.0, 1.0).values.item() == pytest.approx(of_two(102.0, 101.0).values.item())


def test_a_tie_of_rewards_is_not_counted_as_right() -> None:
    assert of_two(1.0, 1.0).metrics["rewards/accuracies"].item() == 0.0
    assert of_two(1.1, 1.0).metrics["rewards/accuracies"].item() == 1.0


def test_the_gradient_is_the_slope_of_the_loss() -> None:
    rewards = torch.tensor([0.3, -0.2, 1.1], dtype=torch.float64, requires_grad=True)
    pairs = (torch.tensor([0, 2]), torch.tensor([1, 0]))
    said = (torch.tensor([0.9, 0.6], dtype=torch.float64), torch.tensor([0.0, 0.5], dtype=torch.float64))
    assert torch.autograd.gradcheck(lambda r: bradley_terry(r, *pairs, *said, centering=0.1).values, rewards)
