import math

import pytest
import torch

from truing.advantages.group_mean import group_mean

GROUPS = torch.tensor([0, 0, 0, 0, 1, 1])
REWARDS = torch.tensor([1.0, 1.0, 1.0, 0.0, 2.0, 4.0])


def test_without_a_scale_it_is_the_difference_to_the_groups_mean() -> None:
    assert group_mean(REWARDS, GROUPS, scale="none").tolist() == pytest.approx([0.25, 0.25, 0.25, -0.75, -1, 1])


def test_one_wrong_answer_of_four_is_minus_one_and_a_half_sigma() -> None:
    # Mean 3/4; the sample's variance is (3 · 1/16 + 9/16) / 3 = 1/4.
    found = group_mean(REWARDS, GROUPS, epsilon=1e-12)
    assert found[:4].tolist() == pytest.approx([0.5, 0.5, 0.5, -1.5])
    assert found[4:].tolist() == pytest.approx([-1 / math.sqrt(2), 1 / math.sqrt(2)])


def test_epsilon_is_added_to_the_std() -> None:
    assert group_mean(REWARDS, GROUPS, epsilon=0.5)[3].item() == pytest.approx(-0.75 / (0.5 + 0.5))


def test_the_batchs_std_is_of_all_rewards() -> None:
    # Mean 1.5; squares 3 · 0.25 + 2.25 + 0.25 + 6.25 = 9.5; variance 9.5 / 5 = 1.9.
    found = group_mean(REWARDS, GROUPS, scale="batch", epsilon=1e-12)
    assert found.tolist() == pytest.approx([x / math.sqrt(1.9) for x in (0.25, 0.25, 0.25, -0.75, -1, 1)])


def test_a_missing_reward_is_as_if_the_response_were_not_there() -> None:
    rewards = torch.tensor([1.0, float("nan"), 0.0])
    found = group_mean(rewards, torch.zeros(3, dtype=torch.long), scale="none")
    assert found.tolist() == [0.5, 0.0, -0.5]
