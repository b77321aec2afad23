import pytest
import torch

from truing.objectives.reward_regression import reward_regression

NAN = float("nan")


def test_the_loss_is_the_squared_error() -> None:
    term = reward_regression(torch.tensor([3.0, 1.0]), torch.tensor([5.0, 1.0]))
    assert term.values.tolist() == [4.0, 0.0]
    assert term.metrics["error"].tolist() == [2.0, 0.0]
    assert term.metrics["rewards/mean"].tolist() == [3.0, 1.0]


def test_stars_from_1_to_5_become_rewards_from_minus_1_to_1() -> None:
    scores = torch.tensor([1.0, 3.0, 5.0])
    term = reward_regression(torch.tensor([-1.0, 0.0, 0.0]), scores, center=3.0, scale=2.0)
    assert term.values.tolist() == [0.0, 0.0, 1.0]
    assert term.metrics["error"].tolist() == [0.0, 0.0, 2.0], "in stars"


def test_the_gradient_is_twice_the_error_and_none_without_a_score() -> None:
    rewards = torch.tensor([1.0, 9.0], requires_grad=True)
    term = reward_regression(rewards, torch.tensor([4.0, NAN]))
    assert term.mask.tolist() == [True, False]
    torch.where(term.mask, term.values, 0.0).sum().backward()
    assert rewards.grad is not None
    assert rewards.grad.tolist() == pytest.approx([-6.0, 0.0])
