import math

import pytest
import torch

from truing.advantages.gae import gae

REWARDS = torch.tensor([[0.0, 0.0, 1.0]])
VALUES = torch.tensor([[0.5, 0.6, 0.8]])
ALL = torch.ones(1, 3, dtype=torch.bool)


def rows(found: dict[str, torch.Tensor]) -> tuple[list[float], list[float]]:
    return found["advantages"][0].tolist(), found["returns"][0].tolist()


def test_three_tokens_by_hand() -> None:
    # δ = 0.1, 0.2, 0.2; A₃ = 0.2, A₂ = 0.2 + 0.5·0.2, A₁ = 0.1 + 0.5·0.3
    advantages, returns = rows(gae(REWARDS, VALUES, ALL, lam=0.5, whiten=False))
    assert advantages == pytest.approx([0.25, 0.3, 0.2])
    assert returns == pytest.approx([0.75, 0.9, 1.0])


def test_three_tokens_by_hand_with_gamma() -> None:
    # gamma 0.9: δ = 0.54 − 0.5, 0.72 − 0.6, 0.2 = 0.04, 0.12, 0.2; factor 0.45
    advantages, _ = rows(gae(REWARDS, VALUES, ALL, gamma=0.9, lam=0.5, whiten=False))
    assert advantages == pytest.approx([0.04 + 0.45 * 0.21, 0.21, 0.2])


def test_lam_1_is_the_return_less_the_value() -> None:
    rewards = torch.tensor([[-0.1, -0.2, 2.0]])
    advantages, returns = rows(gae(rewards, VALUES, ALL, lam=1.0, whiten=False))
    assert returns == pytest.approx([1.7, 1.8, 2.0])
    assert advantages == pytest.approx([1.2, 1.2, 1.2])


def test_lam_0_is_the_error_of_one_step() -> None:
    advantages, returns = rows(gae(REWARDS, VALUES, ALL, lam=0.0, whiten=False))
    assert advantages == pytest.approx([0.1, 0.2, 0.2])
    assert returns == pytest.approx([0.6, 0.8, 1.0])


def test_tokens_of_others_are_passed_over_as_if_they_were_not_there() -> None:
    mask = torch.tensor([[False, True, False, False, True, True, False]])
    rewards, values = torch.full((1, 7), 9.0), torch.full((1, 7), -4.0)
    rewards[mask], values[mask] = REWARDS[0], VALUES[0]
    found = gae(rewards, values, mask, gamma=0.9, lam=0.5, whiten=False)
    dense = gae(REWARDS, VALUES, ALL, gamma=0.9, lam=0.5, whiten=False)
    for name in found:
        assert found[name][mask].tolist() == dense[name][0].tolist()
        assert (found[name][~mask] == 0).all()


def test_whitening_is_over_unmasked_tokens_and_leaves_returns() -> None:
    mask = torch.tensor([[True, True, True], [True, False, False]])
    rewards = torch.tensor([[0.0, 0.0, 1.0], [-1.0, 0.0, 0.0]])
    values = torch.tensor([[0.5, 0.6, 0.8], [0.0, 50.0, 50.0]])
    plain, white = (gae(rewards, values, mask, lam=0.5, whiten=w) for w in (False, True))
    assert white["returns"].tolist() == plain["returns"].tolist()
    # 0.25, 0.3, 0.2, -1: mean -0.0625, mean square 0.298125
    spread = math.sqrt((0.0625 + 0.09 + 0.04 + 1) / 4 - 0.0625**2)
    assert white["advantages"][mask].tolist() == pytest.approx([(x + 0.0625) / spread for x in (0.25, 0.3, 0.2, -1)])
    assert white["advantages"][1, 1:].tolist() == [0.0, 0.0]


def test_whitened_rewards_keep_their_mean() -> None:
    mask = torch.tensor([[True, True]])
    found = gae(torch.tensor([[1.0, 5.0]]), torch.zeros(1, 2), mask, lam=0.0, whiten=False, whiten_rewards=True)
    assert found["advantages"][0].tolist() == pytest.approx([3 - 1, 3 + 1])  # spread 2, mean 3


def test_a_perfect_critic_leaves_no_advantage() -> None:
    found = gae(torch.tensor([[0.0, 0.5, 1.0]]), torch.tensor([[1.5, 1.5, 1.0]]), ALL, lam=0.7, whiten=False)
    assert found["advantages"][0].tolist() == [0.0, 0.0, 0.0]
