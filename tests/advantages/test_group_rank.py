import math

import pytest
import torch

from truing.advantages.group_rank import group_rank

NAN = float("nan")


def of(*rewards: float, **settings: object) -> list[float]:
    found: list[float] = group_rank(
        torch.tensor(rewards), torch.zeros(len(rewards), dtype=torch.long), **settings
    ).tolist()  # type: ignore[arg-type]
    return found


def test_the_highest_reward_is_first_and_an_outlier_is_no_more_than_first() -> None:
    assert of(0.1, 900.0, 5.0) == pytest.approx([-2 / 3, 2 / 3, 0.0])
    assert of(0.1, 5.1, 5.0) == of(0.1, 900.0, 5.0)


def test_tournament_and_exponential() -> None:
    assert of(0.1, 900.0, 5.0, by="tournament") == [-2.0, 2.0, 0.0]
    assert of(3.0, 2.0, 1.0, by="exponential", decay=math.log(2)) == pytest.approx([5 / 12, -1 / 12, -4 / 12])


def test_equal_rewards_share_their_places() -> None:
    assert of(1.0, 1.0, 0.0) == pytest.approx([1 / 3, 1 / 3, -2 / 3])
    assert of(1.0, 1.0) == [0.0, 0.0]


def test_a_response_without_a_reward_has_no_place() -> None:
    assert of(2.0, NAN, 1.0) == pytest.approx([0.5, 0.0, -0.5])
    assert of(NAN, NAN) == [0.0, 0.0]


def test_places_are_of_each_group_alone() -> None:
    found = group_rank(torch.tensor([1.0, 100.0, 2.0, 50.0]), torch.tensor([0, 1, 0, 1]))
    assert found.tolist() == pytest.approx([-0.5, 0.5, 0.5, -0.5])


def test_standardised_every_group_pushes_as_hard() -> None:
    found = torch.tensor(of(5.0, 4.0, 3.0, 3.0, standardise=True))
    assert found.mean().item() == pytest.approx(0, abs=1e-6)
    assert found.std(correction=0).item() == pytest.approx(1)
