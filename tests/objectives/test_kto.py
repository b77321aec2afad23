import json
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from truing.objectives.kto import kto
from truing.reduce import Term

GOLDEN = json.loads((Path(__file__).parent / "golden_thumbs" / "kto.json").read_text())


def of(log_ratios: list[float] | Tensor, labels: list[int], drift: float = 0.0, **settings: Any) -> Term:
    """Responses of one token each, with these log-ratios."""
    policy = torch.as_tensor(log_ratios, dtype=torch.float64)[:, None]
    mask = torch.ones(policy.shape, dtype=torch.bool)
    baseline = torch.tensor(drift, dtype=torch.float64)
    return kto(policy, torch.zeros_like(policy), mask, torch.tensor(labels), baseline, **settings)


def test_at_the_reference_every_loss_is_half_its_weight() -> None:
    term = of([0.0, 0.0], [1, 0], desirable_weight=1.5)
    assert term.values.tolist() == [0.75, 0.5]


def test_the_loss_is_the_probability_missing_from_the_value() -> None:
    # log 3 above a drift of 0 at beta 1: σ = 3/4. Log 3 above it with a thumb down: σ = 1/4.
    term = of([1.0986122886681098] * 2, [1, 0], beta=1.0)
    assert term.values.tolist() == pytest.approx([0.25, 0.75])


def test_what_is_judged_is_the_distance_to_the_drift() -> None:
    assert of([2.0], [1], drift=2.0).values.tolist() == [0.5]
    assert of([1.0], [0], drift=3.0).values.tolist() == of([0.0], [0], drift=2.0).values.tolist()


def test_a_negative_drift_counts_as_none() -> None:
    term = of([1.0], [1], drift=-5.0)
    assert term.values.tolist() == of([1.0], [1]).values.tolist()
    assert term.metrics["kl"].tolist() == [0.0]


def test_at_the_reference_the_gradient_is_a_quarter_of_beta() -> None:
    policy = torch.zeros(2, dtype=torch.float64, requires_grad=True)
    of(policy, [1, 0], beta=0.4, undesirable_weight=2.0).values.sum().backward()
    assert policy.grad is not None
    assert policy.grad.tolist() == pytest.approx([-0.1, 0.2])


def test_the_drift_has_no_gradient() -> None:
    drift = torch.tensor(0.5, requires_grad=True)
    policy = torch.zeros(1, 1, requires_grad=True)
    term = kto(policy, torch.zeros(1, 1), torch.ones(1, 1, dtype=torch.bool), torch.tensor([1]), drift)
    term.values.sum().backward()
    assert drift.grad is None


def test_a_hopeless_response_is_given_up() -> None:
    policy = torch.tensor([-100.0, -1.0], dtype=torch.float64, requires_grad=True)
    of(policy, [1, 1], beta=1.0).values.sum().backward()
    assert policy.grad is not None
    assert abs(policy.grad[0]) < 1e-40 < abs(policy.grad[1])


def test_responses_without_a_label_are_left_out() -> None:
    term = of([1.0, 2.0, 4.0], [1, 0, -1], beta=0.5)
    assert term.mask.tolist() == [True, True, False]
    assert term.metrics["rewards/chosen"][0].item() == 0.5
    assert term.metrics["rewards/chosen"][1:].isnan().all()
    assert term.metrics["rewards/rejected"][1].item() == 1.0


@pytest.mark.parametrize("case", GOLDEN["cases"], ids=lambda c: c["name"])
def test_values_and_gradients_are_those_of_the_peer(case: dict[str, Any]) -> None:
    policy = torch.tensor(case["logprobs"], dtype=torch.float64, requires_grad=True)
    reference = torch.tensor(case["ref_logprobs"], dtype=torch.float64)
    mask = torch.tensor(case["mask"])
    drift = torch.tensor(case["mismatched_log_ratio"], dtype=torch.float64)
    term = kto(policy, reference, mask, torch.tensor(case["labels"]), drift, **case["settings"])
    loss = term.values.mean()
    loss.backward()
    assert loss.item() == pytest.approx(case["loss"], abs=1e-5)
    assert policy.grad is not None
    torch.testing.assert_close(policy.grad, torch.tensor(case["gradient"], dtype=torch.float64), rtol=0, atol=1e-5)


def test_the_gradient_is_the_slope_of_the_loss() -> None:
    policy = torch.tensor([0.3, -0.2, 0.1], dtype=torch.float64, requires_grad=True)
    assert torch.autograd.gradcheck(lambda p: of(p, [1, 0, 1], drift=0.2, beta=0.7).values, policy)
