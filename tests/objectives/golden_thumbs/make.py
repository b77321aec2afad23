"""The golden numbers of `kto.json`: TRL's own loss code, driven with models that only know their log-probabilities.

    PYTHONPATH=<folder with trl 1.16> python tests/objectives/golden_thumbs/make.py

Wanted only to make the file anew; the tests read the file and need no TRL. (TRL 1.16 has no BCO, NPO or unlikelihood.)
"""

from __future__ import annotations

import json
from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
import trl
from torch import Tensor
from trl.trainer.kto_trainer import KTOTrainer

ROWS, TOKENS = 6, 5
LABELS = [1, 0, 0, 1, 1, 0]
KL = 1000  # added to the ids of mismatched pairs, so that a model can tell them apart
CASES: list[dict[str, Any]] = [
    {"name": "defaults", "settings": {}, "drift": 0.4},
    {"name": "drift below zero", "settings": {"beta": 0.5}, "drift": -0.4},
    {"name": "weights", "settings": {"beta": 0.3, "desirable_weight": 1.33, "undesirable_weight": 0.7}, "drift": 0.8},
    {"name": "only thumbs down", "settings": {"beta": 1.0}, "drift": 0.2, "labels": [0] * ROWS},
]


class Knows(torch.nn.Module):
    """Answers any call with the log-probabilities that it was given, 0 where the label says to ignore."""

    def __init__(self, matched: Tensor, mismatched: Tensor) -> None:
        super().__init__()
        self.matched, self.mismatched = matched, mismatched
        self.is_gradient_checkpointing = False

    def forward(self, input_ids: Tensor, labels: Tensor, **_: Any) -> SimpleNamespace:
        known = self.mismatched if int(input_ids.min()) >= KL else self.matched
        logprobs = known.masked_fill(labels[:, 1:] == -100, 0.0)
        return SimpleNamespace(log_probs=logprobs, entropy=torch.zeros_like(known), mean_logits=torch.zeros_like(known))


def case(name: str, settings: dict[str, Any], drift: float, labels: list[int], seed: int) -> dict[str, Any]:
    random = torch.Generator().manual_seed(seed)

    def normal() -> Tensor:
        return torch.randn(ROWS, TOKENS, generator=random, dtype=torch.float64)

    policy = (-2 * normal().abs()).requires_grad_()
    reference = policy.detach() + 0.7 * normal()
    mask = torch.rand(ROWS, TOKENS, generator=random) < 0.8
    mismatched = normal()
    mismatched_reference = mismatched - (drift + 0.1 * normal()) / TOKENS
    ids = torch.ones(ROWS, TOKENS + 1, dtype=torch.long)
    completion = torch.cat([torch.zeros(ROWS, 1, dtype=torch.long), mask.long()], 1)
    batch = {
        "input_ids": ids, "attention_mask": ids, "completion_mask": completion, "label": torch.tensor(labels),
        "KL_input_ids": ids + KL, "KL_attention_mask": ids, "KL_completion_mask": torch.ones_like(ids),
    }  # fmt: skip
    weights = {"beta": 0.1, "desirable_weight": 1.0, "undesirable_weight": 1.0, **settings}
    trainer = SimpleNamespace(
        **weights, loss_type="kto", calculate_KL=True, aux_loss_enabled=False, precompute_ref_logps=False,
        model=Knows(policy, mismatched), ref_model=Knows(reference, mismatched_reference), _tp_size=1,
        accelerator=SimpleNamespace(device=torch.device("cpu"), gather_for_metrics=lambda x: x),
        _metrics={"train": defaultdict(list)}, _total_train_tokens=0,
        args=SimpleNamespace(gradient_checkpointing_kwargs=None),
    )  # fmt: skip
    trainer._compute_kl_logps = lambda model, inputs: KTOTrainer._compute_kl_logps(trainer, model, inputs)
    loss = KTOTrainer._compute_loss(trainer, trainer.model, batch, return_outputs=False)
    loss.backward()
    assert policy.grad is not None
    return {
        "name": name, "settings": settings, "labels": labels, "mask": mask.tolist(),
        "logprobs": policy.tolist(), "ref_logprobs": reference.tolist(),
        "mismatched_log_ratio": (mismatched - mismatched_reference).sum(1).mean().item(),
        "loss": loss.item(), "gradient": policy.grad.tolist(),
    }  # fmt: skip


def main() -> None:
    made = [case(**{"labels": LABELS, **c}, seed=seed) for seed, c in enumerate(CASES)]
    file = Path(__file__).parent / "kto.json"
    file.write_text(json.dumps({"peer": f"trl {trl.__version__}", "cases": made}) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
