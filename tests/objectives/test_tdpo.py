from __future__ import annotations

import math
from typing import Any

import pytest
import torch
from torch import Tensor

from truing.objectives.tdpo import tdpo
from truing.reduce import Term
from truing.registry import objective

from .conftest import Batches, reduced
from .of_two import of_two


def of_rows(ratios: Tensor, kls: Tensor, strength: float = 1.0, **settings: Any) -> Term:
    """A chosen and a rejected response of one token each, with these log-ratios and divergences."""
    mask = torch.ones(2, 1, dtype=torch.bool)
    pair = torch.tensor([0]), torch.tensor([1]), torch.tensor([strength], dtype=torch.float64)
    return tdpo(ratios[:, None], torch.zeros(2, 1, dtype=torch.float64), kls[:, None], mask, *pair, **settings)


def numbers(*values: float) -> Tensor:
    return torch.tensor(values, dtype=torch.float64, requires_grad=True)


def gradients(term: Term, *of: Tensor) -> list[list[float]]:
    found = torch.autograd.grad(term.values.sum(), of, allow_unused=True, materialize_grads=True)
    return [g.tolist() for g in found]


def test_the_divergence_along_the_rejected_response_is_taken_off_the_margin() -> None:
    # 2 log 3 of log-ratio, 0.5 · (4 log 3 − 2 log 3) of divergence: a margin of log 3, σ = 3/4
    unit = math.log(3)
    term = of_rows(numbers(unit, -unit), numbers(2 * unit, 4 * unit), beta=1.0)
    assert term.values.item() == pytest.approx(math.log(4 / 3))


def test_tdpo2_has_no_gradient_through_the_divergence_of_the_chosen_response() -> None:
    ratios, kls = numbers(0.0, 0.0), numbers(1.0, 1.0)
    # a margin of 0: σ(−m) = 1/2, times alpha 0.5, times beta 2
    slopes = gradients(of_rows(ratios, kls, beta=2.0), ratios, kls)
    assert slopes == [pytest.approx([-1.0, 1.0]), pytest.approx([0.0, 0.5])]


def test_tdpo1_has_one_through_both_and_no_alpha() -> None:
    ratios, kls = numbers(0.0, 0.0), numbers(1.0, 1.0)
    slopes = gradients(of_rows(ratios, kls, variant="tdpo1", alpha=0.1, beta=2.0), ratios, kls)
    assert slopes == [pytest.approx([-1.0, 1.0]), pytest.approx([-1.0, 1.0])]


def test_a_strength_turns_the_whole_pair_round_the_stopped_gradient_with_it() -> None:
    kls = numbers(1.0, 3.0)
    weak = gradients(of_rows(numbers(0.2, -0.1), kls, strength=0.0, beta=1.0), kls)[0]
    swapped = numbers(3.0, 1.0)
    strong = gradients(of_rows(numbers(-0.1, 0.2), swapped, beta=1.0), swapped)[0]
    assert weak == pytest.approx(strong[::-1])
    assert weak[1] == 0
    assert weak[0] > 0


def test_rewards_and_margins_are_those_that_the_loss_compares() -> None:
    metrics = of_rows(numbers(1.0, -1.0), numbers(2.0, 6.0), beta=0.1).metrics
    assert metrics["rewards/chosen"].item() == pytest.approx(0.1 * (1 + 0.5 * 2))
    assert metrics["rewards/margins"].item() == pytest.approx(0.1 * (2 - 0.5 * 4))
    assert metrics["kl/chosen"].item() == 2.0
    assert metrics["kl/rejected"].item() == 6.0


def test_with_alpha_0_it_is_dpo(batches: Batches) -> None:
    streams = batches.made()
    loss, (found,) = reduced(objective["tdpo"], [streams], {"alpha": 0.0, "beta": 0.3}, "group")
    plain, (expected,) = reduced(objective["dpo"], [streams], {"beta": 0.3}, "group")
    assert loss == pytest.approx(plain)
    torch.testing.assert_close(found["logprobs"], expected["logprobs"])


def test_where_the_policy_is_the_reference_it_is_log_2() -> None:
    same = [-1.0, -2.0]
    assert of_two(tdpo, same, same, reference=(same, same)).loss == pytest.approx(math.log(2))
