import pytest
import torch

from truing.advantages._tokens import estimated, moments, to_go, whitened

MASK = torch.tensor([[True, False, True]])


def test_the_rewards_to_go_of_a_row_with_a_gap() -> None:
    assert to_go(torch.tensor([[1.0, 100.0, 4.0]]), MASK, 0.5).tolist() == [[3.0, 0.0, 4.0]]


def test_what_comes_after_the_last_token_is_worth_nothing() -> None:
    found = estimated(torch.tensor([[0.0, 0.0, 0.0]]), torch.tensor([[2.0, 7.0, 3.0]]), MASK, 1.0, 0.0)
    assert found.tolist() == [[1.0, 0.0, -3.0]]


@pytest.mark.parametrize(("gamma", "lam"), [(1.0, 0.95), (1.0, 1.0), (0.9, 0.5), (0.5, 0.0), (0.0, 1.0)])
@pytest.mark.parametrize("tokens", [1, 63, 64, 65, 128, 300])
def test_rows_of_any_length_are_summed_token_by_token(tokens: int, gamma: float, lam: float) -> None:
    drawn = torch.Generator().manual_seed(tokens)
    rewards, values = (torch.randn(3, tokens, generator=drawn, dtype=torch.float64) for _ in range(2))
    mask = torch.rand(3, tokens, generator=drawn) < 0.8
    expected = torch.zeros(3, tokens, dtype=torch.float64)
    for row in range(3):
        advantage = following = 0.0
        for t in reversed(mask[row].nonzero().flatten().tolist()):
            advantage = float(rewards[row, t] + gamma * following - values[row, t]) + gamma * lam * advantage
            following = float(values[row, t])
            expected[row, t] = advantage
    found = estimated(rewards, values, mask, gamma, lam)
    assert torch.allclose(found, expected, rtol=1e-12, atol=1e-12)
    assert (found[~mask] == 0).all()


def test_what_is_far_off_is_summed_without_loss_over_a_thousand_tokens() -> None:
    # A thousand tenths: one after another in float32 they would come to 99.999.
    found = to_go(torch.full((1, 1000), 0.1), torch.ones(1, 1000, dtype=torch.bool), 1.0)
    assert found[0, 0].item() == pytest.approx(100, abs=1e-5)


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
