from __future__ import annotations

from pathlib import Path

import pytest
import torch

from truing import recipe
from truing.objectives.dpo import dpo
from truing.objectives.optimism import optimism


def test_only_the_rivals_responses_are_made_less_likely() -> None:
    logprobs = torch.tensor([[-1.0, -2.0], [-0.5, -0.25]], requires_grad=True)
    term = optimism(logprobs, torch.ones(2, 2, dtype=torch.bool), torch.tensor([False, True]))
    assert term.values.tolist() == [-3.0, -0.75]
    assert term.mask.tolist() == [False, True]
    (gradient,) = torch.autograd.grad(term.values[term.mask].sum(), logprobs)
    assert gradient.tolist() == [[0.0, 0.0], [1.0, 1.0]]  # descending it lowers log π


def test_a_rivals_response_without_a_trained_token_does_not_count() -> None:
    term = optimism(torch.zeros(2, 1), torch.tensor([[True], [False]]), torch.tensor([True, True]))
    assert term.mask.tolist() == [True, False]


def test_the_recipe_is_the_loss_of_xpo_as_published(tmp_path: Path) -> None:
    """mean of −log σ(β·(Δ(y+) − Δ(y−))) + α·log π(y_ref), one answer of each (as TRL's XPOTrainer has it)."""
    made = recipe.load("xpo")
    alpha = next(term.weight for term in made.objectives if term.name == "optimism")
    random = torch.Generator().manual_seed(0)
    policy, reference = (-torch.rand(4, 3, generator=random, dtype=torch.float64) for _ in range(2))
    mask = torch.tensor([[1, 1, 1], [1, 1, 0], [1, 0, 0], [1, 1, 1]], dtype=torch.bool)
    # rows: policy, reference, policy, reference; the first pair is won by the policy, the second by the reference
    chosen, rejected = torch.tensor([0, 3]), torch.tensor([1, 2])
    pairs = dpo(policy, reference, mask, chosen, rejected, torch.ones(2, dtype=torch.float64)).values
    bonus = optimism(policy, mask, torch.tensor([False, True, False, True]))
    found = pairs.mean() + alpha * bonus.values[bonus.mask].mean()

    p, r = ((x * mask).sum(1) for x in (policy, reference))
    logits = torch.stack([(p[0] - r[0]) - (p[1] - r[1]), (p[3] - r[3]) - (p[2] - r[2])])
    published = (-(0.1 * logits).sigmoid().log() + 1e-5 * p[[1, 3]]).mean()
    assert found.item() == pytest.approx(published.item(), rel=1e-12)
