from __future__ import annotations

import math

import pytest
import torch

from truing.objectives.ld_dpo import ld_dpo

from .of_two import of_two


def test_tokens_beyond_the_shorter_response_count_by_alpha() -> None:
    # 1 + 0.5 · (1 + 1) - 0.5 = 1.5
    found = of_two(ld_dpo, [1.0, 1.0, 1.0], [0.5], beta=1.0, alpha=0.5)
    assert found.loss == pytest.approx(math.log(1 + math.exp(-1.5)))
    pull = 1 / (1 + math.exp(1.5))
    assert found.chosen == pytest.approx([-pull, -pull / 2, -pull / 2])
    assert found.rejected == pytest.approx([pull])
    assert found.metrics["rewards/chosen"] == pytest.approx(2.0)


def test_the_rejected_response_may_be_the_longer_one() -> None:
    found = of_two(ld_dpo, [1.0], [0.5, 1.0], beta=1.0, alpha=0.0)
    assert found.metrics["rewards/margins"] == pytest.approx(0.5)
    assert found.rejected[1] == 0.0


def test_only_trained_tokens_are_counted() -> None:
    policy = torch.tensor([[1.0, 9.0, 1.0, 1.0], [0.5, 9.0, 9.0, 0.5]])
    mask = torch.tensor([[True, False, True, True], [True, False, False, True]])
    first, second, sure = torch.tensor([0]), torch.tensor([1]), torch.tensor([1.0])
    term = ld_dpo(policy, torch.zeros(2, 4), mask, first, second, sure, beta=1.0, alpha=0.0)
    assert term.metrics["rewards/chosen"].item() == 2.0, "the first two trained tokens"
    assert term.metrics["rewards/rejected"].item() == 1.0


def test_a_row_is_cut_differently_in_each_of_its_pairs() -> None:
    policy, mask = torch.ones(3, 3), torch.tensor([[True, True, True], [True, False, False], [True, True, False]])
    chosen, rejected = torch.tensor([0, 0]), torch.tensor([1, 2])
    term = ld_dpo(policy, torch.zeros(3, 3), mask, chosen, rejected, torch.ones(2), beta=1.0, alpha=0.0)
    assert term.metrics["rewards/chosen"].tolist() == [1.0, 2.0]
