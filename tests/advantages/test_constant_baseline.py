from __future__ import annotations

import pytest
import torch

from truing.advantages.constant_baseline import constant_baseline


def test_a_probability_is_counted_from_one_half() -> None:
    found = constant_baseline(torch.tensor([0.9, 0.5, 0.0, float("nan")]))
    assert found.tolist() == pytest.approx([0.4, 0.0, -0.5, 0.0])


def test_the_middle_can_be_elsewhere() -> None:
    assert constant_baseline(torch.tensor([3.0]), value=2.0).tolist() == [1.0]
