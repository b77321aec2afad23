from __future__ import annotations

from pathlib import Path

import pytest
import torch
from torch import Tensor

from truing import recipe
from truing.checks import check
from truing.errors import RecipeError
from truing.models.deltas import adapter_l1
from truing.objectives.sparsity import sparsity
from truing.reduce import REDUCTIONS, weigh
from truing.update import Updater
from truing.wire import wire


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_the_loss_is_the_norm_whatever_the_reduction(reduction: str) -> None:
    norm = torch.tensor(6.0, requires_grad=True)
    mask = torch.tensor([[True, True], [True, False], [False, False], [True, True]])
    term = sparsity(norm, mask)
    found = weigh(term.mask, torch.tensor([0, 0, 0, 1]), reduction, length=5)
    loss = (found.weights * term.values).sum() / found.count
    assert loss.item() == pytest.approx(6.0)
    assert torch.autograd.grad(loss, norm)[0].item() == pytest.approx(1.0)
    assert term.mask.tolist() == [True, True, False, True], "a response without a token is not counted"


def _gradients(
    model: Path, data: Path, reduction: str, tokens: int, weight: float
) -> tuple[list[Tensor], list[Tensor]]:
    """The gradient of the loss at weight `weight` and that of the norm alone, of the trained weights."""
    chosen = recipe.load(
        "paft_sft",
        {
            "model.path": str(model), "data.train": str(data), "reduction": reduction, "batch_size": 40,
            "validation_share": 0.0, "tokens_per_batch": tokens, "model.lora": {"r": 2},
            "objectives": ["sft", {"sparsity": {}, "weight": weight}],
        },
    )  # fmt: skip
    run = wire(chosen)
    assert isinstance(run.updater, Updater)
    trained = [p for p in run.policy.model.parameters() if p.requires_grad]
    torch.manual_seed(5)
    for parameter in trained:
        torch.nn.init.normal_(parameter, std=0.05)
    alone = list(torch.autograd.grad(adapter_l1(run.policy.model), trained))
    held: list[Tensor] = []

    def keep(*_: object) -> None:
        held.extend(p.grad.clone() for p in trained if p.grad is not None)

    handle = run.updater.optimizer.register_step_pre_hook(keep)
    run.updater.settings = run.updater.settings.model_copy(update={"max_grad_norm": 1e9})
    numbers = run.updater.step(run.experience.batch(0), 0)
    handle.remove()
    assert numbers["loss/sparsity"] == pytest.approx(numbers["adapter_l1"], rel=1e-5)
    return held, alone


@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_the_norm_counts_once_a_step_however_the_batch_is_cut(
    toy_folder: Path, demonstrations: Path, reduction: str
) -> None:
    weight = 0.01
    without, _ = _gradients(toy_folder, demonstrations, reduction, 10_000, 0.0)
    for tokens in (1, 100, 10_000):
        found, alone = _gradients(toy_folder, demonstrations, reduction, tokens, weight)
        assert len(found) == len(without) == len(alone)
        for mine, rest, norm in zip(found, without, alone, strict=True):
            torch.testing.assert_close(mine - rest, weight * norm, atol=2e-5, rtol=1e-4)


def test_a_recipe_without_adapters_is_refused_with_the_remedy() -> None:
    made = recipe.load("sft", {"objectives": ["sft", "sparsity"], "model.path": "a", "data.train": "b"})
    with pytest.raises(RecipeError, match=r"`sparsity` reads `adapter_l1`.*no adapters\n.*--set lora.r=16"):
        check(made)


def test_a_larger_weight_leaves_a_smaller_change(toy_folder: Path, demonstrations: Path) -> None:
    norms = []
    for weight in (0.0, 0.01):
        made = recipe.load(
            "paft_sft",
            {
                "model.path": str(toy_folder), "data.train": str(demonstrations), "model.lora": {"r": 2},
                "batch_size": 20, "learning_rate": 1e-2, "warmup": 0.0,
                "objectives": ["sft", {"sparsity": {}, "weight": weight}],
            },
        )  # fmt: skip
        run = wire(made)
        assert isinstance(run.updater, Updater)
        for _ in range(10):
            run.updater.step(run.experience.batch(0), 0)
        norms.append(adapter_l1(run.policy.model).item())
    assert norms[1] < 0.5 * norms[0]
