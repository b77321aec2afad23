import math
from typing import Any

import pytest
import torch

from truing.objectives.bradley_terry import bradley_terry
from truing.objectives.token_reward import token_reward
from truing.reduce import Term

# The better response has the tokens 3, 1; the worse 1, 1, 1, (padding).
REWARDS = torch.tensor([[3.0, 1.0, 9.0], [1.0, 1.0, 1.0]], dtype=torch.float64)
MASK = torch.tensor([[True, True, False], [True, True, True]])


def of(rewards: torch.Tensor = REWARDS, *, strength: float = 1.0, margin: float = 0.0, **settings: Any) -> Term:
    said = (torch.tensor([strength], dtype=torch.float64), torch.tensor([margin], dtype=torch.float64))
    return token_reward(rewards, MASK, torch.tensor([0]), torch.tensor([1]), *said, **settings)


def test_the_mean_takes_the_length_out_and_the_sum_leaves_it_in() -> None:
    mean, total = of(pool="mean").metrics, of(pool="sum").metrics
    assert (mean["rewards/chosen"].item(), mean["rewards/rejected"].item()) == (2.0, 1.0)
    assert (total["rewards/chosen"].item(), total["rewards/rejected"].item()) == (4.0, 3.0)
    assert of().values.item() == pytest.approx(math.log(1 + math.exp(-1)))


def test_each_token_gets_its_share_of_the_gradient_and_masked_ones_none() -> None:
    rewards = REWARDS.clone().requires_grad_()
    of(rewards).values.sum().backward()
    assert rewards.grad is not None
    slope = 1 / (1 + math.e)  # 1 − σ(1)
    assert rewards.grad[0].tolist() == pytest.approx([-slope / 2, -slope / 2, 0.0])
    assert rewards.grad[1].tolist() == pytest.approx([slope / 3] * 3)


def test_equal_totals_cost_log_2_and_a_coin_toss_has_no_gradient_there() -> None:
    rewards = torch.ones(2, 3, dtype=torch.float64, requires_grad=True)
    term = of(rewards, strength=0.5)
    assert term.values.item() == pytest.approx(math.log(2))
    term.values.sum().backward()
    assert rewards.grad is not None
    assert rewards.grad.abs().max() == 0


def test_a_preference_of_0_9_means_a_gap_of_2_197() -> None:
    rewards = torch.zeros(2, 3, dtype=torch.float64)
    rewards[0] = math.log(9)
    rewards.requires_grad_()
    of(rewards, strength=0.9).values.sum().backward()
    assert rewards.grad is not None
    assert rewards.grad.abs().max().item() == pytest.approx(0.0, abs=1e-12)


def test_responses_of_one_token_are_bradley_terry() -> None:
    rewards = torch.tensor([[0.7], [-0.4]], dtype=torch.float64)
    pair = (torch.tensor([0]), torch.tensor([1]), torch.tensor([0.8]), torch.tensor([0.3]))
    for pool in ("mean", "sum"):
        ours = token_reward(rewards, torch.ones(2, 1, dtype=torch.bool), *pair, pool=pool, centering=0.1)  # type: ignore[arg-type]
        theirs = bradley_terry(rewards[:, 0], *pair, centering=0.1)
        assert ours.values.item() == pytest.approx(theirs.values.item())
