import math

import pytest
import torch

from truing.objectives.reward_binary import reward_binary


def test_the_loss_is_that_of_a_coin_with_log_odds_r() -> None:
    # log-odds log 3: probability 3/4.
    term = reward_binary(torch.tensor([3.0, 3.0]).log(), torch.tensor([1, 0]))
    assert term.values.tolist() == pytest.approx([-math.log(0.75), -math.log(0.25)])
    assert term.metrics["rewards/accuracies"].tolist() == [1.0, 0.0]
    assert term.metrics["rewards/chosen"][0].item() == pytest.approx(math.log(3))
    assert term.metrics["rewards/chosen"][1].isnan()


def test_the_gradient_is_the_probability_less_the_label_times_the_weight() -> None:
    rewards = torch.zeros(3, requires_grad=True)
    labels = torch.tensor([1, 0, -1])
    term = reward_binary(rewards, labels, desirable_weight=3.0, undesirable_weight=0.5)
    assert term.mask.tolist() == [True, True, False]
    torch.where(term.mask, term.values, 0.0).sum().backward()
    assert rewards.grad is not None
    assert rewards.grad.tolist() == pytest.approx([-1.5, 0.25, 0.0])


def test_weights_make_the_thumbs_up_count_as_if_there_were_more_of_them() -> None:
    # Nine thumbs down for each up, weighed 9 : 1, are at rest at a probability of one half.
    rewards = torch.zeros(10, requires_grad=True)
    term = reward_binary(rewards, torch.tensor([1] + [0] * 9), desirable_weight=9.0)
    term.values.sum().backward()
    assert rewards.grad is not None
    assert rewards.grad.sum().item() == pytest.approx(0.0, abs=1e-6)
