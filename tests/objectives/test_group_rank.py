import math

import pytest
import torch

from truing.objectives.group_rank import group_rank
from truing.ranking import rank_advantages


def gains(ranks: list[int], advantage: str, decay: float = 0.5, standardise: bool = False) -> list[float]:
    ordered = torch.tensor(ranks)
    found: list[float] = rank_advantages(ordered, torch.zeros_like(ordered), advantage, decay, standardise).tolist()
    return found


def test_rank_advantages_of_four() -> None:
    # (K + 1 - 2r)/K for K = 4 and places 1, 2, 3, 4.
    assert gains([1, 2, 3, 4], "rank") == pytest.approx([0.75, 0.25, -0.25, -0.75])


def test_exponential_advantages_are_centred() -> None:
    halves = gains([1, 2, 3], "exponential", decay=math.log(2))
    assert halves == pytest.approx([1 - 7 / 12, 1 / 2 - 7 / 12, 1 / 4 - 7 / 12])


def test_tournament_advantages_are_wins_less_losses() -> None:
    assert gains([2, 1, 3], "tournament") == [0.0, 2.0, -2.0]
    assert gains([1, 2, 3, 4], "tournament") == pytest.approx([4 * a for a in gains([1, 2, 3, 4], "rank")])


def test_tied_responses_share_their_places() -> None:
    assert gains([1, 1, 2], "rank") == gains([1, 1, 3], "rank") == pytest.approx([1 / 3, 1 / 3, -2 / 3])
    assert gains([1, 1, 2], "tournament") == [1.0, 1.0, -2.0]


def test_unranked_responses_are_not_counted() -> None:
    assert gains([1, 0, 2], "rank") == pytest.approx([0.5, 0.0, -0.5])


@pytest.mark.parametrize("advantage", ["rank", "exponential", "tournament"])
def test_standardised_advantages_have_mean_0_and_spread_1(advantage: str) -> None:
    found = torch.tensor(gains([1, 2, 2, 4, 5], advantage, standardise=True))
    assert found.mean().item() == pytest.approx(0.0, abs=1e-7)
    assert found.std(correction=0).item() == pytest.approx(1.0)
    assert gains([1, 1], advantage, standardise=True) == [0.0, 0.0]


def test_each_group_has_its_own_places() -> None:
    found = rank_advantages(torch.tensor([1, 5, 2, 1]), torch.tensor([0, 0, 1, 1]), "rank", 0.5, False)
    assert found.tolist() == pytest.approx([0.5, -0.5, -0.5, 0.5])


def test_the_gradient_is_the_advantage() -> None:
    policy = torch.zeros(3, 2, requires_grad=True)
    mask = torch.tensor([[True, True], [True, False], [True, True]])
    ranks, groups = torch.tensor([1, 2, 3]), torch.zeros(3, dtype=torch.long)
    term = group_rank(policy, torch.zeros(3, 2), mask, ranks, groups, advantage="tournament")
    assert term.values.tolist() == [0.0, 0.0, 0.0]
    term.values.sum().backward()
    assert policy.grad is not None
    assert policy.grad.tolist() == [[-2.0, -2.0], [0.0, 0.0], [2.0, 2.0]]


def test_it_logs_what_is_pushed_up_and_what_down() -> None:
    policy = torch.tensor([[0.5], [0.1], [-0.3]])
    ranks, groups = torch.tensor([1, 2, 3]), torch.zeros(3, dtype=torch.long)
    term = group_rank(policy, torch.zeros(3, 1), torch.ones(3, 1, dtype=torch.bool), ranks, groups)
    assert term.metrics["log_ratio/above"].nanmean().item() == pytest.approx(0.5)
    assert term.metrics["log_ratio/below"].nanmean().item() == pytest.approx(-0.3)
    assert term.values.tolist() == pytest.approx([-1 / 3, 0.0, -0.2])


def test_groups_tied_throughout_and_unranked_rows_are_left_out() -> None:
    ranks, groups = torch.tensor([1, 1, 1, 2, 0]), torch.tensor([0, 0, 1, 1, 1])
    term = group_rank(torch.zeros(5, 1), torch.zeros(5, 1), torch.ones(5, 1, dtype=torch.bool), ranks, groups)
    assert term.mask.tolist() == [False, False, True, True, False]
