import math

import pytest
import torch

from truing.advantages.reinforce_pp import reinforce_pp


def test_the_return_of_a_token_holds_the_kl_that_comes_after_it_and_is_normalised_over_the_batch() -> None:
    # KL penalties 0.1, 0.2 and, with the reward of 1.3, 0.3 at the last: to go 0.7, 0.8, 1; and one of 0.
    dense = torch.tensor([[-0.1, -0.2, 1.0], [0.0, 5.0, 5.0]])
    mask = torch.tensor([[True, True, True], [True, False, False]])
    found = reinforce_pp(dense, dense.sum(1), torch.tensor([0, 1]), mask)
    # mean 2.5/4 = 0.625; mean square (0.49 + 0.64 + 1)/4 = 0.5325
    spread = math.sqrt(0.5325 - 0.625**2)
    assert found[mask].tolist() == pytest.approx([(g - 0.625) / spread for g in (0.7, 0.8, 1.0, 0.0)])
    assert found[1, 1:].tolist() == [0.0, 0.0]


def test_gamma_discounts_what_is_far_off() -> None:
    dense, mask = torch.tensor([[0.0, 0.0, 4.0]]), torch.ones(1, 3, dtype=torch.bool)
    found = reinforce_pp(dense, dense.sum(1), torch.tensor([0]), mask, gamma=0.5)[0]
    # to go 1, 2, 4: mean 7/3, variance 14/9
    assert found.tolist() == pytest.approx([(g - 7 / 3) / math.sqrt(14 / 9) for g in (1, 2, 4)])


def test_with_the_groups_baseline_only_the_difference_to_the_group_counts() -> None:
    rewards, groups = torch.tensor([1.0, 0.0, 10.0, 9.0]), torch.tensor([0, 0, 1, 1])
    mask = torch.ones(4, 1, dtype=torch.bool)
    found = reinforce_pp(rewards[:, None], rewards, groups, mask, baseline="group")
    assert found[:, 0].tolist() == pytest.approx([1, -1, 1, -1])
    plain = reinforce_pp(rewards[:, None], rewards, groups, mask)
    assert plain[:2].max() < 0 < plain[2:].min()


def test_a_row_without_a_reward_is_in_nobodys_mean() -> None:
    rewards, groups = torch.tensor([1.0, 0.0, float("nan")]), torch.tensor([0, 0, 0])
    mask = torch.tensor([[True], [True], [False]])
    found = reinforce_pp(torch.tensor([[1.0], [0.0], [0.0]]), rewards, groups, mask, baseline="group")
    assert found[:, 0].tolist() == pytest.approx([1.0, -1.0, 0.0])
