import math
from typing import Any

import pytest
import torch
from torch import Tensor

from truing.objectives.dpo import dpo
from truing.objectives.plackett_luce import plackett_luce
from truing.reduce import Term


def of(log_ratios: list[float] | Tensor, ranks: list[int], groups: list[int] | None = None, **settings: Any) -> Term:
    """Responses of one token each, with these log-ratios; one group unless said otherwise."""
    policy = torch.as_tensor(log_ratios, dtype=torch.float64)[:, None]
    mask = torch.ones(policy.shape, dtype=torch.bool)
    where = torch.tensor(groups or [0] * len(ranks))
    return plackett_luce(policy, torch.zeros_like(policy), mask, torch.tensor(ranks), where, **settings)


def gradient(log_ratios: list[float], ranks: list[int], **settings: Any) -> list[float]:
    policy = torch.tensor(log_ratios, dtype=torch.float64, requires_grad=True)
    of(policy, ranks, **settings).values.sum().backward()
    assert policy.grad is not None
    found: list[float] = policy.grad.tolist()
    return found


def test_at_the_reference_the_loss_is_the_log_of_the_number_of_orders() -> None:
    for size in (2, 3, 4, 7):
        term = of([0.0] * size, list(range(1, size + 1)))
        assert term.values.tolist() == pytest.approx([math.log(math.factorial(size))])


def test_a_ranking_of_three_worked_by_hand() -> None:
    # exp(u) = 1, 2, 3 for places 3, 2, 1: 3/6 · 2/3 = 1/3.
    term = of([0.0, math.log(2), math.log(3)], [3, 2, 1], beta=1.0)
    assert term.values.item() == pytest.approx(math.log(3))
    assert term.metrics["rewards/accuracies"].item() == 1.0
    gaps = (math.log(2), math.log(3), math.log(1.5))
    assert term.metrics["rewards/margins"].item() == pytest.approx(sum(gaps) / 3)


@pytest.mark.parametrize("ties", ["skip", "equal"])
def test_with_two_responses_it_is_dpo_exactly(ties: str) -> None:
    random = torch.Generator().manual_seed(0)
    policy = torch.randn(6, 3, generator=random, dtype=torch.float64, requires_grad=True)
    reference = torch.randn(6, 3, generator=random, dtype=torch.float64)
    mask = torch.rand(6, 3, generator=random) < 0.8
    groups, ranks = torch.tensor([0, 0, 1, 1, 2, 2]), torch.tensor([1, 2, 2, 1, 1, 2])
    listwise = plackett_luce(policy, reference, mask, ranks, groups, beta=0.3, ties=ties)  # type: ignore[arg-type]
    chosen, rejected = torch.tensor([0, 3, 4]), torch.tensor([1, 2, 5])
    pairwise = dpo(policy, reference, mask, chosen, rejected, torch.ones(3), beta=0.3)
    torch.testing.assert_close(listwise.values, pairwise.values, rtol=1e-12, atol=0)
    (ours,) = torch.autograd.grad(listwise.values.sum(), policy)
    (theirs,) = torch.autograd.grad(pairwise.values.sum(), policy)
    torch.testing.assert_close(ours, theirs, rtol=1e-12, atol=1e-15)
    for name in ("rewards/margins", "rewards/accuracies"):
        torch.testing.assert_close(listwise.metrics[name], pairwise.metrics[name], rtol=1e-12, atol=0)


def test_the_probabilities_of_all_orders_add_up_to_one() -> None:
    import itertools

    utilities = [0.3, -1.2, 0.8, 0.1]
    losses = [of(utilities, list(ranks), beta=1.0).values.item() for ranks in itertools.permutations((1, 2, 3, 4))]
    assert sum(math.exp(-loss) for loss in losses) == pytest.approx(1.0)


def test_only_the_order_of_ranks_counts() -> None:
    utilities = [0.3, -1.2, 0.8]
    assert of(utilities, [1, 1, 2]).values.tolist() == of(utilities, [4, 4, 9]).values.tolist()


def test_unranked_responses_are_in_nobodys_choice() -> None:
    term = of([0.5, 9.0, -0.5, -9.0], [1, 0, 2, 0], beta=1.0)
    assert term.values.tolist() == pytest.approx(of([0.5, -0.5], [1, 2], beta=1.0).values.tolist())
    assert gradient([0.5, 9.0, -0.5, -9.0], [1, 0, 2, 0])[1::2] == [0.0, 0.0]


def test_skipped_ties_say_nothing_about_each_other() -> None:
    # Each of the tied two is chosen from itself and the third: 2/3 and 3/4 where exp(u) = 2, 3, 1.
    term = of([math.log(2), math.log(3), 0.0], [1, 1, 2], beta=1.0)
    assert term.values.item() == pytest.approx(-math.log(2 / 3) - math.log(3 / 4))
    assert not of([1.0, 2.0], [1, 1]).mask.any()
    assert gradient([1.0, 2.0], [1, 1]) == [0.0, 0.0]


def test_equal_ties_have_no_gradient_where_they_are_equal_and_pull_together_elsewhere() -> None:
    assert gradient([0.7, 0.7], [1, 1], ties="equal") == pytest.approx([0.0, 0.0], abs=1e-15)
    apart = gradient([1.0, -1.0], [1, 1], ties="equal")
    assert apart[0] > 0 > apart[1]
    assert of([1.0, -1.0], [1, 1], ties="equal").mask.tolist() == [True]


def test_two_that_tie_are_twice_a_comparison_of_strength_one_half() -> None:
    policy = torch.tensor([[0.9], [0.2]], dtype=torch.float64)
    half = dpo(
        policy,
        torch.zeros_like(policy),
        policy > 0,
        torch.tensor([0]),
        torch.tensor([1]),
        torch.tensor([0.5]),
        beta=2.0,
    )
    assert of([0.9, 0.2], [1, 1], beta=2.0, ties="equal").values.item() == pytest.approx(2 * half.values.item())


def test_there_is_one_value_for_each_group_counted_to_its_first_row() -> None:
    term = of([0.0] * 5, [2, 1, 1, 0, 0], [0, 0, 1, 1, 2])
    assert term.values.shape == (3,)
    assert term.mask.tolist() == [True, False, False]
    assert term.rows is not None
    assert term.rows.tolist() == [0, 2, 4]


def test_the_gradient_is_the_slope_of_the_loss() -> None:
    policy = torch.tensor([0.3, -0.2, 0.1, 0.9], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda p: of(p, [1, 2, 2, 3], beta=0.7, ties="equal").values, policy)
