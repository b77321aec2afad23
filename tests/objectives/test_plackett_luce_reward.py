import math

import pytest
import torch
from torch import Tensor

from truing.objectives.bradley_terry import bradley_terry
from truing.objectives.plackett_luce_reward import plackett_luce_reward

ONE_GROUP = torch.zeros(3, dtype=torch.long)


def test_a_ranking_of_three_worked_by_hand() -> None:
    # exp(r) = 3, 2, 1 in the order of preference: 3/6 · 2/3 = 1/3.
    rewards = torch.tensor([3.0, 2.0, 1.0]).log()
    term = plackett_luce_reward(rewards, torch.tensor([1, 2, 3]), ONE_GROUP)
    assert term.values.item() == pytest.approx(math.log(3))
    assert term.metrics["rewards/accuracies"].item() == 1.0


def test_with_two_responses_it_is_bradley_terry_exactly() -> None:
    rewards = torch.tensor([0.3, -0.4, 1.1, 0.2], dtype=torch.float64, requires_grad=True)
    ranks, groups = torch.tensor([1, 2, 2, 1]), torch.tensor([0, 0, 1, 1])
    ours = plackett_luce_reward(rewards, ranks, groups, centering=0.2)
    chosen, rejected = torch.tensor([0, 3]), torch.tensor([1, 2])
    theirs = bradley_terry(rewards, chosen, rejected, torch.ones(2), torch.zeros(2), centering=0.2)
    torch.testing.assert_close(ours.values, theirs.values, rtol=1e-12, atol=0)
    for left, right in zip(
        torch.autograd.grad(ours.values.sum(), rewards), torch.autograd.grad(theirs.values.sum(), rewards), strict=True
    ):
        torch.testing.assert_close(left, right, rtol=1e-12, atol=1e-15)


def test_centering_adds_the_square_of_the_sum_of_the_ranked() -> None:
    rewards, ranks = torch.tensor([1.0, 2.0, 50.0]), torch.tensor([1, 2, 0])
    plain = plackett_luce_reward(rewards, ranks, ONE_GROUP).values
    centred = plackett_luce_reward(rewards, ranks, ONE_GROUP, centering=0.1).values
    assert (centred - plain).item() == pytest.approx(0.1 * 9)


def test_an_unranked_response_has_no_gradient() -> None:
    rewards = torch.zeros(3, requires_grad=True)
    plackett_luce_reward(rewards, torch.tensor([1, 0, 2]), ONE_GROUP).values.sum().backward()
    assert rewards.grad is not None
    assert rewards.grad.tolist() == [-0.5, 0.0, 0.5]


def test_tied_responses_are_pulled_together_only_if_asked() -> None:
    def slope(ties: str) -> Tensor:
        rewards = torch.tensor([1.0, -1.0], requires_grad=True)
        term = plackett_luce_reward(rewards, torch.tensor([1, 1]), torch.tensor([0, 0]), ties=ties)  # type: ignore[arg-type]
        term.values.sum().backward()
        assert rewards.grad is not None
        return rewards.grad

    assert slope("skip").tolist() == [0.0, 0.0]
    assert slope("equal")[0] > 0 > slope("equal")[1]
