from __future__ import annotations

import statistics
from pathlib import Path

import pytest
import torch

from truing import lab, recipe
from truing.record import read_record
from truing.train import train


@pytest.mark.slow
def test_an_adaptive_coefficient_holds_its_target_within_a_fifth(tmp_path: Path) -> None:
    """The reward would carry the policy far away: shorter is better, without end."""
    torch.set_num_threads(1)
    lab.write_prompts(tmp_path / "prompts.jsonl", "train")
    settings = {
        "model.path": str(lab.base_path()),
        "data.train": str(tmp_path / "prompts.jsonl"),
        "data.validation_share": 0.0,
        "rewards": [{"length": {"target": 4, "unit": "words", "slack": 20}}],
        "reward_kl.coefficient": 0.05,
        "reward_kl.target": 3.0,
        "reward_kl.horizon": 32,
        "prompts_per_step": 32,
        "max_new_tokens": 48,
        "update.steps": 90,
        "passes": 2,
        "learning_rate": 5e-4,
        "schedule": "constant",
        "critic.lr_multiplier": 10.0,
        "save_every": 0,
        "sample_every": 0,
    }
    train(recipe.load("ppo", settings), tmp_path / "run")
    rows = [row for row in read_record(tmp_path / "run") if "kl/sequence" in row]
    assert len(rows) == 90
    held = statistics.fmean(row["kl/sequence"] for row in rows[-40:])
    assert held == pytest.approx(3.0, rel=0.2), [round(row["kl/sequence"], 2) for row in rows]
    coefficients = [row["kl/coefficient"] for row in rows]
    assert max(coefficients) > 2 * coefficients[0], "a coefficient that stayed where it was would prove nothing"
