import math

import pytest
import torch

from truing.advantages.batch_mean import batch_mean

REWARDS = torch.tensor([1.0, 2.0, float("nan"), 6.0])


def test_it_is_the_difference_to_the_mean_of_all() -> None:
    assert batch_mean(REWARDS).tolist() == [-2.0, -1.0, 0.0, 3.0]


def test_the_spread_is_that_of_the_batch() -> None:
    spread = math.sqrt((4 + 1 + 9) / 3)
    assert batch_mean(REWARDS, scale="batch").tolist() == pytest.approx([-2 / spread, -1 / spread, 0.0, 3 / spread])
    assert batch_mean(REWARDS * 100, scale="batch").tolist() == pytest.approx(
        batch_mean(REWARDS, scale="batch").tolist()
    )


def test_where_all_are_the_same_there_is_nothing_to_learn() -> None:
    assert batch_mean(torch.full((3,), 2.5), scale="batch").tolist() == [0.0, 0.0, 0.0]
    assert batch_mean(torch.full((2,), float("nan"))).tolist() == [0.0, 0.0]
