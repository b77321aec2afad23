import math

import pytest
import torch

from truing.objectives.sft import sft


def test_sft_is_minus_the_log_probability_of_demonstrated_tokens() -> None:
    logprobs = torch.tensor([[0.5, 0.25], [0.1, 0.1]]).log().requires_grad_()
    mask = torch.tensor([[True, True], [True, True]])
    term = sft(logprobs, mask, torch.tensor([True, False]))
    assert term.mask.tolist() == [[True, True], [False, False]]
    assert term.values[0].tolist() == pytest.approx([math.log(2), math.log(4)])
    term.values[term.mask].mean().backward()
    assert logprobs.grad is not None
    assert logprobs.grad.tolist() == [[-0.5, -0.5], [0, 0]]


def test_sft_trains_on_the_assistants_tokens_only() -> None:
    mask = torch.tensor([[False, True, False]])
    term = sft(torch.tensor([[-5.0, -1.0, -7.0]]), mask, torch.tensor([True]))
    assert term.mask.tolist() == mask.tolist()
    assert term.metrics["nll"].tolist() == [[0.0, 1.0, 0.0]]
