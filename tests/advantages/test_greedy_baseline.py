import pytest
import torch

from truing.advantages.greedy_baseline import greedy_baseline

NAN = float("nan")


def test_a_sample_is_as_good_as_it_is_better_than_the_greedy_response() -> None:
    found = greedy_baseline(torch.tensor([0.7, 1.0, -1.0]), torch.tensor([0.9, 0.9, -3.0]))
    assert found.tolist() == pytest.approx([-0.2, 0.1, 2.0])


def test_where_either_has_no_reward_there_is_no_advantage() -> None:
    assert greedy_baseline(torch.tensor([NAN, 1.0, NAN]), torch.tensor([1.0, NAN, NAN])).tolist() == [0.0, 0.0, 0.0]
