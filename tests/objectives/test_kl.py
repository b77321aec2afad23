import math
from typing import Literal

import pytest
import torch
from torch import Tensor

from truing.objectives.kl import kl

Estimator = Literal["k1", "k2", "k3"]
LOGITS = torch.tensor([0.4, -1.0, 0.7], dtype=torch.float64)
REFERENCE = torch.tensor([-0.3, 0.5, 0.2], dtype=torch.float64).log_softmax(0)


def expected(estimator: Estimator) -> tuple[float, Tensor]:
    """Value and gradient of the loss, averaged over every token that the policy can sample, with its probability."""
    logits = LOGITS.clone().requires_grad_()
    logprobs = logits.log_softmax(0)
    mask = torch.ones(3, 1, dtype=torch.bool)
    values = kl(logprobs[:, None], REFERENCE[:, None], mask, estimator=estimator).values[:, 0]
    average = (logprobs.exp().detach() * values).sum()
    average.backward()
    assert logits.grad is not None
    return average.item(), logits.grad


def divergence(of: Literal["policy", "reference"]) -> tuple[float, Tensor]:
    """KL(π ‖ π_ref) or KL(π_ref ‖ π) itself, and its gradient."""
    logits = LOGITS.clone().requires_grad_()
    logprobs = logits.log_softmax(0)
    gap = logprobs - REFERENCE
    value = (logprobs.exp() * gap).sum() if of == "policy" else -(REFERENCE.exp() * gap).sum()
    value.backward()
    assert logits.grad is not None
    return value.item(), logits.grad


def test_a_token_twice_as_probable_as_under_the_reference() -> None:
    logprobs, reference = torch.tensor([[0.5]]).log(), torch.tensor([[0.25]]).log()
    mask = torch.ones(1, 1, dtype=torch.bool)
    found = {e: kl(logprobs, reference, mask, estimator=e).values.item() for e in ("k1", "k2", "k3")}
    log2 = math.log(2)
    assert found == pytest.approx({"k1": log2, "k2": log2**2 / 2, "k3": 0.5 - 1 + log2})


def test_k1_and_k3_average_to_the_divergence_over_the_policys_samples() -> None:
    exact, _ = divergence("policy")
    assert expected("k1")[0] == pytest.approx(exact, rel=1e-12)
    assert expected("k3")[0] == pytest.approx(exact, rel=1e-12)
    assert expected("k2")[0] != pytest.approx(exact, rel=1e-2)


def test_k2_as_a_loss_has_the_gradient_of_the_divergence() -> None:
    torch.testing.assert_close(expected("k2")[1], divergence("policy")[1])


def test_k3_as_a_loss_has_the_gradient_of_the_divergence_the_other_way_round() -> None:
    torch.testing.assert_close(expected("k3")[1], divergence("reference")[1])
    assert not torch.allclose(expected("k3")[1], divergence("policy")[1], rtol=1e-2)


def test_k1_as_a_loss_teaches_nothing() -> None:
    torch.testing.assert_close(expected("k1")[1], torch.zeros(3, dtype=torch.float64), rtol=0, atol=1e-15)


def test_the_logged_kl_is_k3_whatever_is_trained() -> None:
    logprobs, reference = torch.tensor([[-1.0, -2.0]]), torch.tensor([[-1.5, -1.0]])
    mask = torch.tensor([[True, True]])
    expected_k3 = [math.exp(-0.5) - 1 + 0.5, math.exp(1.0) - 1 - 1.0]
    for estimator in ("k1", "k2", "k3"):
        logged = kl(logprobs, reference, mask, estimator=estimator).metrics["kl"]
        assert logged[0].tolist() == pytest.approx(expected_k3)


def test_at_the_reference_there_is_neither_loss_nor_gradient() -> None:
    for estimator in ("k2", "k3"):
        logprobs = torch.tensor([[-1.0, -7.0]], requires_grad=True)
        term = kl(logprobs, logprobs.detach(), torch.ones(1, 2, dtype=torch.bool), estimator=estimator)
        term.values.sum().backward()
        assert logprobs.grad is not None
        assert term.values.tolist() == logprobs.grad.tolist() == [[0.0, 0.0]]


def test_the_gradient_is_the_slope_of_the_loss() -> None:
    logprobs = torch.tensor([[-1.0, -2.0, -0.1]], dtype=torch.float64, requires_grad=True)
    reference = torch.tensor([[-1.5, -1.0, -0.4]], dtype=torch.float64)
    mask = torch.tensor([[True, True, False]])
    for estimator in ("k1", "k2", "k3"):
        assert torch.autograd.gradcheck(lambda p, e=estimator: kl(p, reference, mask, estimator=e).values, logprobs)
