import math

import pytest
import torch

from truing.objectives.entropy import entropy


def test_the_bonus_falls_as_entropy_rises() -> None:
    entropies = torch.tensor([[math.log(2), math.log(8)]], requires_grad=True)
    mask = torch.tensor([[True, False]])
    term = entropy(entropies, mask)
    term.values.sum().backward()
    assert term.values.tolist()[0] == pytest.approx([-math.log(2), 0.0])
    assert term.metrics["entropy"].tolist()[0] == pytest.approx([math.log(2), 0.0])
    assert entropies.grad is not None
    assert entropies.grad.tolist() == [[-1.0, 0.0]]
