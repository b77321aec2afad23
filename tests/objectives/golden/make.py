"""Writes trl_pairs.json: what TRL's own code makes of random log-probabilities, values and gradients.

    pip install trl==1.16.0
    python tests/objectives/golden/make.py

A stand-in for the model hands TRL the log-probabilities; everything from there to the loss is TRL. The tests read the
file and need no TRL.
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
from trl.experimental.cpo.cpo_trainer import CPOTrainer
from trl.experimental.orpo.orpo_trainer import ORPOTrainer
from trl.trainer.dpo_trainer import DPOTrainer

PAIRS, TOKENS = 4, 7
LENGTHS = (7, 3, 5, 2, 4, 6, 5, 7)  # the chosen ones, then the rejected ones, as TRL stacks them


class Accelerator:
    """One process: nothing to gather."""

    device = torch.device("cpu")

    def gather(self, x: Any) -> Any:
        return x

    gather_for_metrics = gather


class Model(torch.nn.Module):
    """Knows the log-probability of every response token. TRL masks nothing: it counts on zeros elsewhere."""

    is_gradient_checkpointing = False

    def __init__(self, logprobs: Tensor, mask: Tensor, collisions: Tensor | None = None) -> None:
        super().__init__()
        self.logprobs, self.mask, self.collisions = logprobs, mask, collisions

    def forward(self, **_: Any) -> SimpleNamespace:
        zeros = torch.zeros_like(self.logprobs)
        return SimpleNamespace(
            log_probs=self.logprobs * self.mask,
            log_sum_sq_probs=zeros if self.collisions is None else self.collisions,  # zeros: WPO without alignment
            entropy=zeros,
            mean_logits=zeros,
            is_top1=zeros.bool(),
        )


def batch(seed: int) -> tuple[Tensor, Tensor, Tensor]:
    random = torch.Generator().manual_seed(seed)
    logprobs = -3 * torch.rand(2 * PAIRS, TOKENS, generator=random) - 0.01
    reference = logprobs + 0.5 * torch.randn(2 * PAIRS, TOKENS, generator=random)
    mask = torch.arange(TOKENS) < torch.tensor(LENGTHS)[:, None]
    return logprobs, reference.clamp(max=-0.001), mask


def dpo(
    logprobs: Tensor,
    reference: Tensor,
    mask: Tensor,
    loss_type: str,
    collisions: Tensor | None = None,
    **settings: Any,
) -> Tensor:
    """The loss of TRL's DPOTrainer."""
    trainer: Any = object.__new__(DPOTrainer)
    fields = {
        "accelerator": Accelerator(),
        "model": Model(logprobs, mask, collisions),
        "ref_model": Model(reference, mask),
        "args": SimpleNamespace(gradient_checkpointing_kwargs=None, discopop_tau=settings.pop("discopop_tau", 0.05)),
        "aux_loss_enabled": False,
        "precompute_ref_logps": False,
        "loss_types": [loss_type],
        "loss_weights": [1.0],
        "_metrics": defaultdict(lambda: defaultdict(list)),
        "_total_train_tokens": 0,
        "_tp_size": 1,
        "beta": 0.1,
        "label_smoothing": 0.0,
        "ld_alpha": None,
        "f_divergence_type": "reverse_kl",
        "f_alpha_divergence_coef": 0.5,
        "use_weighting": False,
    }
    vars(trainer).update(fields | settings)
    rows = len(mask)
    inputs = {
        "input_ids": torch.zeros(rows, TOKENS + 1, dtype=torch.long),  # a prompt of one token goes before
        "attention_mask": torch.ones(rows, TOKENS + 1, dtype=torch.long),
        "completion_mask": torch.cat([torch.zeros(rows, 1, dtype=torch.long), mask.long()], 1),
    }
    return trainer._compute_loss(trainer.model, inputs, False)


def from_logits(kind: Any, logprobs: Tensor, mask: Tensor, *, average: bool) -> tuple[Tensor, Tensor]:
    """Log-probabilities of chosen and rejected by TRL's code, from a vocabulary of two in which every token is 0."""
    logits = torch.stack([logprobs, torch.log(-torch.expm1(logprobs))], -1)
    logits = torch.cat([logits, torch.zeros_like(logits[:, :1])], 1)  # the last position predicts nothing
    labels = torch.where(mask, 0, -100)
    labels = torch.cat([torch.full_like(labels[:, :1], -100), labels], 1)
    chosen, rejected = kind.get_batch_logps(logits, labels, average_log_prob=average).chunk(2)
    return chosen, rejected


def cpo(logprobs: Tensor, _: Tensor, mask: Tensor, loss_type: str, **settings: Any) -> Tensor:
    """The preference loss of TRL's CPOTrainer."""
    fields = {"alpha": 0.0, "beta": 0.1, "label_smoothing": 0.0, "simpo_gamma": 0.5, "accelerator": Accelerator()}
    trainer: Any = SimpleNamespace(**(fields | {"loss_type": loss_type} | settings))
    average = loss_type in ("ipo", "simpo")
    return CPOTrainer.cpo_loss(trainer, *from_logits(CPOTrainer, logprobs, mask, average=average))[0].mean()


def orpo(logprobs: Tensor, _: Tensor, mask: Tensor, **settings: Any) -> Tensor:
    """The odds-ratio loss of TRL's ORPOTrainer, which is what it takes from the likelihood loss."""
    trainer: Any = SimpleNamespace(accelerator=Accelerator(), **settings)
    return -ORPOTrainer.odds_ratio_loss(trainer, *from_logits(ORPOTrainer, logprobs, mask, average=True))[0].mean()


# (objective, its settings, strength, what it is multiplied by, TRL's function, TRL's settings)
CASES: list[tuple[str, dict[str, Any], float, float, Any, dict[str, Any]]] = [
    ("dpo", {"beta": 0.1}, 1, 1, dpo, {"loss_type": "sigmoid"}),
    ("dpo_norm", {"beta": 5.0}, 1, 1, dpo, {"loss_type": "sigmoid_norm", "beta": 5.0}),
    ("hinge", {"beta": 0.3}, 1, 1, dpo, {"loss_type": "hinge", "beta": 0.3}),
    ("ipo", {"beta": 0.1}, 1, 1, dpo, {"loss_type": "ipo"}),
    ("exo", {"beta": 0.2, "label_smoothing": 1e-3}, 1, 1, dpo,
     {"loss_type": "exo_pair", "beta": 0.2, "label_smoothing": 1e-3}),
    ("nca", {"beta": 0.3}, 1, 1, dpo, {"loss_type": "nca_pair", "beta": 0.3}),
    ("robust_dpo", {"beta": 0.2, "label_smoothing": 0.2}, 1, 1, dpo,
     {"loss_type": "robust", "beta": 0.2, "label_smoothing": 0.2}),
    ("sppo", {"beta": 0.05}, 1, 1, dpo, {"loss_type": "sppo_hard", "beta": 0.05}),
    ("sppo", {"beta": 0.001}, 1, 1, dpo, {"loss_type": "sppo_hard", "beta": 0.001}),
    ("apo_zero", {"beta": 0.3}, 1, 1, dpo, {"loss_type": "apo_zero", "beta": 0.3}),
    ("apo_down", {"beta": 0.3}, 1, 1, dpo, {"loss_type": "apo_down", "beta": 0.3}),
    ("discopop", {}, 1, 1, dpo, {"loss_type": "discopop", "beta": 0.05}),
    ("discopop", {"beta": 0.2, "tau": 0.5}, 1, 1, dpo, {"loss_type": "discopop", "beta": 0.2, "discopop_tau": 0.5}),
    ("ld_dpo", {"beta": 0.2, "alpha": 0.3}, 1, 1, dpo, {"loss_type": "sigmoid", "beta": 0.2, "ld_alpha": 0.3}),
    ("wpo", {"beta": 0.2, "alignment": "none"}, 1, 1, dpo,
     {"loss_type": "sigmoid", "beta": 0.2, "use_weighting": True}),
    ("f_dpo", {"divergence": "reverse_kl", "beta": 0.2}, 1, 1, dpo, {"loss_type": "sigmoid", "beta": 0.2}),
    ("f_dpo", {"divergence": "forward_kl", "beta": 0.2}, 1, 1, dpo,
     {"loss_type": "sigmoid", "beta": 0.2, "f_divergence_type": "forward_kl"}),
    ("f_dpo", {"divergence": "jensen_shannon", "beta": 0.2}, 1, 1, dpo,
     {"loss_type": "sigmoid", "beta": 0.2, "f_divergence_type": "js_divergence"}),
    # TRL's coefficient is 1 - the paper's alpha.
    ("f_dpo", {"divergence": "alpha", "alpha": 0.3, "beta": 0.2}, 1, 1, dpo,
     {"loss_type": "sigmoid", "beta": 0.2, "f_divergence_type": "alpha_divergence", "f_alpha_divergence_coef": 0.7}),
    # TRL's smoothing of CPO is a strength that is the same for every pair.
    ("cpo", {"beta": 0.1}, 1, 1, cpo, {"loss_type": "sigmoid"}),
    ("cpo", {"beta": 0.1, "label_smoothing": 0.2}, 1, 1, cpo, {"loss_type": "sigmoid", "label_smoothing": 0.2}),
    ("cpo", {"beta": 0.1}, 0.8, 1, cpo, {"loss_type": "sigmoid", "label_smoothing": 0.2}),
    ("simpo", {"beta": 2.0, "gamma": 1.0}, 1, 1, cpo, {"loss_type": "simpo", "beta": 2.0, "simpo_gamma": 1.0}),
    ("simpo", {"beta": 2.0, "gamma": 0.5, "label_smoothing": 0.1}, 1, 1, cpo,
     {"loss_type": "simpo", "beta": 2.0, "simpo_gamma": 0.5, "label_smoothing": 0.1}),
    ("alpha_po", {"beta": 2.5, "gamma": 0.1, "alpha": 0.25}, 1, 1, cpo,
     {"loss_type": "simpo", "beta": 2.5, "simpo_gamma": 0.1, "alpha": 0.25}),
    # TRL's hinge is beta · max(0, 1 / beta - difference).
    ("slic", {"delta": 10.0}, 1, 0.1, cpo, {"loss_type": "hinge"}),
    ("orpo", {}, 1, 0.1, orpo, {"beta": 0.1}),
    ("sft", {}, 1, 1, dpo, {"loss_type": "sft"}),
    # A pair is a thumb up and a thumb down: TRL adds the two, the mean is over both.
    ("bco", {"beta": 0.3}, 1, 2, dpo, {"loss_type": "bco_pair", "beta": 0.3}),
    ("aot", {"beta": 0.3}, 1, 1, dpo, {"loss_type": "aot", "beta": 0.3}),
    ("aot", {"beta": 0.2, "label_smoothing": 0.1}, 1, 1, dpo,
     {"loss_type": "aot", "beta": 0.2, "label_smoothing": 0.1}),
    ("aot_unpaired", {"beta": 0.3}, 1, 1, dpo, {"loss_type": "aot_unpaired", "beta": 0.3}),
    ("aot_unpaired", {"beta": 0.2, "label_smoothing": 0.1}, 1, 1, dpo,
     {"loss_type": "aot_unpaired", "beta": 0.2, "label_smoothing": 0.1}),
    ("wpo", {"beta": 0.2}, 1, 1, dpo, {"loss_type": "sigmoid", "beta": 0.2, "use_weighting": True}),
]  # fmt: skip


def main() -> None:
    cases = []
    for seed, (objective, settings, strength, scale, function, theirs) in enumerate(CASES):
        logprobs, reference, mask = batch(seed)
        logprobs.requires_grad_()
        more: dict[str, Tensor] = {}
        if objective == "wpo" and "alignment" not in settings:
            more["collisions"] = -2 * torch.rand(logprobs.shape, generator=torch.Generator().manual_seed(seed))
        loss = function(logprobs, reference, mask, **theirs, **more)
        (gradient,) = torch.autograd.grad(loss, logprobs)
        case = {
            "objective": objective,
            "settings": settings,
            "strength": strength,
            "scale": scale,
            "trl": {"function": function.__name__, **theirs},
            "lengths": LENGTHS,
            "logprobs": logprobs.tolist(),
            "ref_logprobs": reference.tolist(),
            **{name: values.tolist() for name, values in more.items()},
            "loss": loss.item(),
            "gradient": gradient.tolist(),
        }
        cases.append(json.dumps(case))
    path = Path(__file__).with_name("trl_pairs.json")
    path.write_text(f'{{"trl": "{trl.__version__}", "cases": [\n' + ",\n".join(cases) + "\n]}\n")
    print(f"{path}: {len(cases)} cases")


if __name__ == "__main__":
    main()
