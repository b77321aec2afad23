import math

import pytest
import torch

from truing.objectives.cispo import cispo
from truing.objectives.reinforce import reinforce

ONES = torch.ones(1, 4, dtype=torch.bool)


def test_every_token_has_a_gradient_and_none_a_weight_above_the_bound() -> None:
    ratios = torch.tensor([[0.5, 1.0, 3.0, 40.0]], dtype=torch.float64)
    logprobs = torch.full((1, 4), -2.0, dtype=torch.float64, requires_grad=True)
    for advantage in (1.5, -1.5):
        logprobs.grad = None
        term = cispo(logprobs, logprobs.detach() - ratios.log(), torch.full((1, 4), advantage), ONES, max_ratio=5.0)
        term.values.sum().backward()
        assert logprobs.grad is not None
        assert logprobs.grad[0].tolist() == pytest.approx([-advantage * w for w in (0.5, 1.0, 3.0, 5.0)])
        assert term.values[0].tolist() == pytest.approx([2 * advantage * w for w in (0.5, 1.0, 3.0, 5.0)])
        assert term.metrics["clip_ratio/high"][0].tolist() == [0, 0, 0, 1]
        assert term.metrics["ratio"][0].tolist() == pytest.approx([0.5, 1.0, 3.0, 40.0])


def test_on_policy_it_is_reinforce() -> None:
    logprobs, advantages = torch.tensor([[-1.0, -2.0, -3.0, -0.1]]), torch.tensor([[1.0, -2.0, 0.5, 0.0]])
    found, expected = cispo(logprobs, logprobs, advantages, ONES), reinforce(logprobs, advantages, ONES)
    torch.testing.assert_close(found.values, expected.values)


def test_a_ratio_beyond_all_floats_is_bounded() -> None:
    logprobs = torch.zeros(1, 4, requires_grad=True)
    cispo(logprobs, torch.full((1, 4), -1e4), -torch.ones(1, 4), ONES).values.sum().backward()
    assert logprobs.grad is not None
    assert logprobs.grad[0].tolist() == [5.0] * 4
    assert math.isfinite(cispo(logprobs, torch.full((1, 4), 1e4), torch.ones(1, 4), ONES).values.sum().item())
