import pytest
import torch

from truing.advantages.group_mean import group_mean
from truing.advantages.leave_one_out import leave_one_out


def test_the_baseline_is_the_mean_of_the_others() -> None:
    rewards = torch.tensor([1.0, 2.0, 6.0, 5.0, 5.0])
    groups = torch.tensor([0, 0, 0, 1, 1])
    # 1 − (2 + 6)/2, 2 − (1 + 6)/2, 6 − (1 + 2)/2
    assert leave_one_out(rewards, groups).tolist() == [-3.0, -1.5, 4.5, 0.0, 0.0]


def test_it_is_the_difference_to_the_mean_times_n_over_n_minus_1() -> None:
    rewards = torch.tensor([0.3, -1.0, 2.5, 0.0])
    groups = torch.zeros(4, dtype=torch.long)
    centred = group_mean(rewards, groups, scale="none") * 4 / 3
    assert leave_one_out(rewards, groups).tolist() == pytest.approx(centred.tolist())


def test_a_missing_reward_is_in_nobodys_baseline() -> None:
    rewards = torch.tensor([1.0, float("nan"), 3.0])
    assert leave_one_out(rewards, torch.zeros(3, dtype=torch.long)).tolist() == [-2.0, 0.0, 2.0]
