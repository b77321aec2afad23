from typing import Any

import pytest
import torch

from truing.objectives.value import value
from truing.reduce import Term


def of(values: list[float], returns: float, **settings: Any) -> tuple[Term, list[float]]:
    said = torch.tensor([values], dtype=torch.float64, requires_grad=True)
    target, mask = torch.full_like(said, returns), torch.ones(said.shape, dtype=torch.bool)
    term = value(said, torch.zeros_like(said), target, mask, **settings)
    term.values.sum().backward()
    assert said.grad is not None
    return term, said.grad[0].tolist()


def test_a_value_learns_until_it_has_moved_by_the_clip_towards_its_return() -> None:
    # old value 0, return 1: at 0.1 half of 0.9²; at 0.5 it counts as 0.2: half of 0.8²; at -0.5 nothing is forgiven.
    term, gradient = of([0.1, 0.5, -0.5], 1.0, clip=0.2)
    assert term.values[0].tolist() == pytest.approx([0.405, 0.32, 1.125])
    assert gradient == pytest.approx([-0.9, 0.0, -1.5])
    assert term.metrics["value/clipped"][0].tolist() == [0, 1, 0]
    assert term.metrics["value/error"][0].tolist() == pytest.approx([0.81, 0.25, 2.25])


def test_a_value_that_went_past_its_return_is_called_back() -> None:
    # old 0, return 0.1: 0.5 is 0.4 too far, and counts more than the 0.1 of the clipped one.
    term, gradient = of([0.5], 0.1, clip=0.2)
    assert term.values.item() == pytest.approx(0.08)
    assert gradient == pytest.approx([0.4])


def test_without_a_clip_it_is_half_the_squared_error() -> None:
    term, gradient = of([0.5, 3.0], 1.0, clip=None)
    assert term.values[0].tolist() == pytest.approx([0.125, 2.0])
    assert gradient == pytest.approx([-0.5, 2.0])
    assert term.metrics["value/clipped"][0].tolist() == [0, 0]


def test_before_the_first_update_the_gradient_is_that_of_the_squared_error() -> None:
    said = torch.tensor([[0.3, -2.0]], requires_grad=True)
    value(said, said.detach(), torch.zeros(1, 2), torch.ones(1, 2, dtype=torch.bool)).values.sum().backward()
    assert said.grad is not None
    assert said.grad[0].tolist() == pytest.approx([0.3, -2.0])


def test_the_gradient_is_the_slope_of_the_loss() -> None:
    random = torch.Generator().manual_seed(1)
    old, said, target = (torch.randn(3, 4, generator=random, dtype=torch.float64) for _ in range(3))
    mask = torch.rand(3, 4, generator=random) < 0.7
    assert torch.autograd.gradcheck(lambda v: value(v, old, target, mask).values, said.requires_grad_())
