import pytest
import torch

from truing.advantages._tokens import estimated, moments, to_go, whitened

MASK = torch.tensor([[True, False, True]])


def test_the_rewards_to_go_of_a_row_with_a_gap() -> None:
    assert to_go(torch.tensor([[1.0, 100.0, 4.0]]), MASK, 0.5).tolist() == [[3.0, 0.0, 4.0]]


def test_what_comes_after_the_last_token_is_worth_nothing() -> None:
    found = estimated(torch.tensor([[0.0, 0.0, 0.0]]), torch.tensor([[2.0, 7.0, 3.0]]), MASK, 1.0, 0.0)
    assert found.tolist() == [[1.0, 0.0, -3.0]]


def test_moments_are_of_the_unmasked() -> None:
    mean, std = moments(torch.tensor([[1.0, float("nan"), 5.0]]), MASK)
    assert (mean.item(), std.item()) == (3.0, 2.0)
    assert [m.item() for m in moments(torch.ones(1, 3), torch.zeros(1, 3, dtype=torch.bool))] == [0.0, 0.0]


def test_whitened_values_have_mean_0_and_spread_1() -> None:
    values = torch.tensor([[1.0, float("nan"), 5.0]])
    assert whitened(values, MASK)[0].tolist() == pytest.approx([-1.0, 0.0, 1.0])
    assert whitened(values, MASK, shift=False)[0].tolist() == pytest.approx([2.0, 0.0, 4.0])


def test_equal_values_are_not_divided_by_nothing() -> None:
    values = torch.full((1, 3), 0.1)
    assert whitened(values, MASK).tolist() == [[0.0, 0.0, 0.0]]
    assert whitened(values, MASK, shift=False)[0].tolist() == pytest.approx([0.1, 0.0, 0.1])


def test_a_hair_of_a_difference_is_not_blown_up() -> None:
    # 1e-6 apart: a spread of 5e-7 against √1e-8 = 1e-4
    found = whitened(torch.tensor([[0.0, 0.0, 1e-6]], dtype=torch.float64), MASK)
    assert found.abs().max().item() == pytest.approx(0.005, rel=1e-3)
