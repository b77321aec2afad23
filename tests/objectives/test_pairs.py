"""What holds for every objective on pairs, and how they are related."""

from __future__ import annotations

import math
from typing import Any

import pytest
import torch

from truing.objectives._pairs import EXPONENT_LIMIT, bounded_exp, cross_entropy, expected, mean, total
from truing.registry import Entry, objective

from .conftest import Batches, reduced, run, trained
from .of_two import of_two

PAIRS = [e for e in objective if {"chosen", "rejected", "strength", "logprobs"} <= set(e.reads)]
SHIFTED = {"simpo", "alpha_po"}  # a target is taken off the margin, so that chosen and rejected are not alike

on_pairs = pytest.mark.parametrize("entry", PAIRS, ids=lambda e: e.name)


def test_there_are_pair_objectives() -> None:
    assert len(PAIRS) >= 20


# ---- strength ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("entry", [e for e in PAIRS if e.name not in SHIFTED], ids=lambda e: e.name)
def test_a_strength_is_the_other_strength_the_other_way_round(entry: Entry) -> None:
    one = of_two(entry.function, [-0.3, -1.0], [-2.0], strength=0.8)
    other = of_two(entry.function, [-2.0], [-0.3, -1.0], strength=0.2)
    assert one.loss == pytest.approx(other.loss)
    assert one.chosen == pytest.approx(other.rejected)


@pytest.mark.parametrize("entry", [e for e in PAIRS if e.name not in SHIFTED | {"apo_down"}], ids=lambda e: e.name)
def test_a_strength_of_one_half_has_no_gradient_at_equality(entry: Entry) -> None:
    same = [-0.5]
    found = of_two(entry.function, same, same, reference=(same, same), strength=0.5)
    assert found.chosen == found.rejected == pytest.approx([0.0], abs=1e-12)


@pytest.mark.parametrize("name", ["dpo", "dpo_norm", "cpo", "f_dpo", "ld_dpo"])
def test_a_preference_of_0_9_means_a_reward_gap_of_2_197(name: str) -> None:
    found = of_two(objective[name].function, [math.log(9)], [0.0], beta=1.0, strength=0.9)
    assert found.metrics["rewards/margins"] == pytest.approx(2.197, abs=5e-4)
    assert found.chosen == pytest.approx([0.0], abs=1e-12)


# ---- relations -----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("name", "settings"),
    [
        ("f_dpo", {"divergence": "reverse_kl"}),
        ("ld_dpo", {"alpha": 1.0}),
        ("rdpo", {"alpha": 0.0}),
        ("dpop", {"penalty": 0.0}),
        ("robust_dpo", {"label_smoothing": 0.0}),
    ],
)
def test_with_its_own_setting_switched_off_it_is_dpo(name: str, settings: dict[str, Any], batches: Batches) -> None:
    streams = batches.made()
    loss, (gradients,) = reduced(objective[name], [streams], settings | {"beta": 0.3}, "group")
    plain, (expected_gradients,) = reduced(objective["dpo"], [streams], {"beta": 0.3}, "group")
    assert loss == pytest.approx(plain)
    torch.testing.assert_close(gradients["logprobs"], expected_gradients["logprobs"])


@pytest.mark.parametrize("entry", [e for e in PAIRS if e.name != "wpo"], ids=lambda e: e.name)
def test_the_gradient_is_the_slope_of_the_loss(entry: Entry, batches: Batches) -> None:
    # Not of wpo: its weight has no gradient, on purpose.
    streams = batches.made()

    def loss(logprobs: torch.Tensor) -> torch.Tensor:
        return run(entry, streams | {"logprobs": logprobs}, {}).values

    assert torch.autograd.gradcheck(loss, trained(streams)["logprobs"])


@on_pairs
def test_margins_are_differences_of_rewards_and_decide_the_accuracy(entry: Entry, batches: Batches) -> None:
    metrics = run(entry, batches.made(), {}).metrics
    margins = metrics["rewards/chosen"] - metrics["rewards/rejected"]
    torch.testing.assert_close(metrics["rewards/margins"], margins)
    assert torch.equal(metrics["rewards/accuracies"], (margins > 0).double())


# ---- the shared parts ----------------------------------------------------------------------------------------------


def test_sums_and_means_are_over_trained_tokens_and_0_where_there_are_none() -> None:
    values = torch.tensor([[1.0, 2.0, float("nan")], [float("inf")] * 3])
    mask = torch.tensor([[True, True, False], [False] * 3])
    assert total(values, mask).tolist() == [3.0, 0.0]
    assert mean(values, mask).tolist() == [1.5, 0.0]


def test_the_cross_entropy_is_the_expected_logistic_loss() -> None:
    better, worse, preferred = (torch.tensor([x]) for x in (0.7, 0.2, 0.8))
    logistic = expected(lambda a, b: torch.log1p(torch.exp(b - a)), better, worse, preferred)
    torch.testing.assert_close(cross_entropy(better - worse, preferred), logistic)


def test_beyond_its_limit_the_exponential_is_a_straight_line_with_its_slope() -> None:
    x = torch.tensor([1.0, EXPONENT_LIMIT, EXPONENT_LIMIT + 2, 1e6], dtype=torch.float64, requires_grad=True)
    most = math.exp(EXPONENT_LIMIT)
    values = bounded_exp(x)
    assert values.tolist() == pytest.approx([math.e, most, 3 * most, (1e6 - EXPONENT_LIMIT + 1) * most])
    (slope,) = torch.autograd.grad(values.sum(), x)
    assert slope[[0, 2, 3]].tolist() == pytest.approx([math.e, most, most])
    assert bounded_exp(torch.tensor(1e6)).isfinite()
