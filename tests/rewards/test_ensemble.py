from __future__ import annotations

from pathlib import Path

import pytest
import torch

from truing.bind import bind
from truing.errors import RecipeError
from truing.models.heads import reward_model_from
from truing.models.loading import load_causal_lm, load_tokenizer
from truing.recipe import Named
from truing.registry import reward
from truing.rewards.model import RewardModel

TEXTS = ["sat", "ran over", "flew"]


@pytest.fixture(scope="module")
def folders(toy_folder: Path, tmp_path_factory: pytest.TempPathFactory) -> list[str]:
    made = []
    for seed in range(2):
        model = reward_model_from(load_causal_lm(toy_folder), seed=seed)
        with torch.no_grad():
            torch.manual_seed(seed)
            for parameter in model.parameters():
                if parameter.ndim == 2:
                    parameter.add_(0.1 * torch.randn_like(parameter))
        folder = tmp_path_factory.mktemp("judge")
        RewardModel.of(model, load_tokenizer(toy_folder), mean=0.1, std=2.0).save(folder)
        made.append(str(folder))
    return made


def test_an_ensemble_asks_all_and_takes_the_worst_on_one_scale(folders: list[str]) -> None:
    single = [RewardModel(path=path)(["the cat"] * 3, TEXTS) for path in folders]
    for how, expected in {
        "mean": [(a + b) / 2 for a, b in zip(*single, strict=True)],
        "worst": [min(a, b) for a, b in zip(*single, strict=True)],
        "uncertainty": [(a + b) / 2 - 3 * abs(a - b) / 2 for a, b in zip(*single, strict=True)],
    }.items():
        bound = bind(reward, Named(name="ensemble", settings={"paths": folders, "how": how, "penalty": 3.0}))
        assert bound.function(["the cat"] * 3, TEXTS, finished=[True] * 3) == pytest.approx(expected, abs=1e-5)
    assert single[0] != pytest.approx(single[1], abs=1e-2)


def test_one_model_is_no_ensemble(folders: list[str]) -> None:
    bound = bind(reward, Named(name="ensemble", settings={"paths": folders[:1]}))
    with pytest.raises(RecipeError, match="1 reward models are no ensemble"):
        _ = bound.function
