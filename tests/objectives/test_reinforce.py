import torch

from truing.objectives.reinforce import reinforce

MASK = torch.tensor([[True, True], [True, False]])


def test_the_gradient_is_minus_the_advantage_on_trained_tokens() -> None:
    logprobs = torch.tensor([[-1.0, -2.0], [-3.0, -4.0]], requires_grad=True)
    advantages = torch.tensor([[0.5, 0.5], [-2.0, -2.0]])
    term = reinforce(logprobs, advantages, MASK)
    assert term.values.tolist() == [[0.5, 1.0], [-6.0, 0.0]]
    term.values.sum().backward()
    assert logprobs.grad is not None
    assert logprobs.grad.tolist() == [[-0.5, -0.5], [2.0, 0.0]]


def test_the_advantage_is_not_trained() -> None:
    logprobs = torch.zeros(2, 2, requires_grad=True)
    advantages = torch.ones(2, 2, requires_grad=True)
    reinforce(logprobs, advantages, MASK).values.sum().backward()
    assert advantages.grad is None
