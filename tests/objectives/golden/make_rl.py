"""Writes trl_grpo.json and trl_ppo.json: what TRL's own code makes of random samples, values and gradients.

    pip install trl==1.16.0 && python tests/objectives/golden/make_rl.py grpo
    pip install trl==1.0.0 && python tests/objectives/golden/make_rl.py ppo      # the last major version with PPO

Log-probabilities, values and advantages are handed to TRL; everything from there to the loss is TRL. Its PPO has no
functions for that, so the lines of its training loop are run as they stand. The tests read the files and need no TRL.
"""

from __future__ import annotations

import inspect
import json
import sys
import textwrap
from collections import defaultdict
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import torch
import trl
from torch import Tensor

ROWS, TOKENS = 6, 7
LENGTHS = (7, 3, 5, 1, 4, 6)


class Accelerator:
    """One process: nothing to gather."""

    num_processes = 1
    sync_gradients = True

    def gather(self, x: Any) -> Any:
        return x

    gather_for_metrics = gather

    def reduce(self, x: Any, reduction: str) -> Any:
        return x


def samples(seed: int, spread: float) -> dict[str, Tensor]:
    random = torch.Generator().manual_seed(seed)
    logprobs = -3 * torch.rand(ROWS, TOKENS, generator=random) - 0.01
    return {
        "logprobs": logprobs.requires_grad_(),
        "old_logprobs": (logprobs + spread * torch.randn(ROWS, TOKENS, generator=random)).detach(),
        "ref_logprobs": (logprobs + 0.5 * torch.randn(ROWS, TOKENS, generator=random)).detach(),
        "advantages": torch.randn(ROWS, generator=random),
        "mask": torch.arange(TOKENS) < torch.tensor(LENGTHS)[:, None],
    }


def trainer_of(kind: Any, logprobs: Tensor, **fields: Any) -> Any:
    class Stub(kind):
        def __init__(self) -> None:
            zeros = torch.zeros_like(logprobs.detach())
            self._get_per_token_logps_and_entropies = lambda *_, **__: (logprobs, zeros, None)
            arguments = fields.pop("args", {})
            vars(self).update(
                {
                    "accelerator": Accelerator(), "model": SimpleNamespace(training=True), "aux_loss_enabled": False,
                    "top_entropy_quantile": 1.0, "off_policy_mask_threshold": None, "use_vllm": False, "beta": 0.0,
                    "_entropy_bonus_enabled": False, "current_gradient_accumulation_steps": 1,
                    "max_completion_length": 11, "_metrics": defaultdict(lambda: defaultdict(list)),
                    "args": SimpleNamespace(
                        **{"delta": None, "use_bias_correction_kl": False, "steps_per_generation": 1} | arguments
                    ),
                }
                | fields
            )  # fmt: skip

    return Stub()


def inputs_of(made: dict[str, Tensor]) -> dict[str, Tensor]:
    empty = torch.zeros(ROWS, 0, dtype=torch.long)
    ids = torch.zeros(ROWS, TOKENS, dtype=torch.long)
    return {
        "prompt_ids": empty, "prompt_mask": empty, "completion_ids": ids, "completion_mask": made["mask"].long(),
        "advantages": made["advantages"], "old_per_token_logps": made["old_logprobs"],
        "ref_per_token_logps": made["ref_logprobs"], "num_items_in_batch": made["mask"].sum(),
        "old_logps": (made["old_logprobs"] * made["mask"]).sum(1),
    }  # fmt: skip


def grpo() -> list[dict[str, Any]]:
    from trl.trainer.grpo_trainer import GRPOTrainer
    from trl.trainer.rloo_trainer import RLOOTrainer

    plain = {"epsilon_low": 0.2, "epsilon_high": 0.2, "importance_sampling_level": "token"}
    higher = plain | {"epsilon_high": 0.28}
    # objectives and their weights, reduction, TRL's settings, how far the old policy is
    cases: list[tuple[dict[str, Any], str, dict[str, Any], float]] = [
        ({"ppo_clip": {}}, "sequence", plain | {"loss_type": "grpo"}, 0.3),
        ({"ppo_clip": {}, "kl": {"estimator": "k3", "weight": 0.04}}, "sequence",
         plain | {"loss_type": "grpo", "beta": 0.04}, 0.3),
        ({"ppo_clip": {}}, "token", plain | {"loss_type": "bnpo"}, 0.3),
        ({"ppo_clip": {}}, "constant", plain | {"loss_type": "dr_grpo"}, 0.3),
        ({"ppo_clip": {"clip_high": 0.28}}, "token", higher | {"loss_type": "dapo"}, 0.3),
        ({"ppo_clip": {"dual_clip": 1.5}}, "token", plain | {"loss_type": "dapo", "args": {"delta": 1.5}}, 0.5),
        ({"cispo": {"max_ratio": 1.3}}, "token", plain | {"loss_type": "cispo", "epsilon_high": 1.3}, 0.4),
        ({"gspo": {"clip": 0.1, "clip_high": 0.15}}, "sequence",
         {"loss_type": "grpo", "importance_sampling_level": "sequence", "epsilon_low": 0.1, "epsilon_high": 0.15}, 0.4),
        # On-policy: TRL's ratio of whole responses is 1, and its gradient that of REINFORCE.
        ({"reinforce": {}}, "constant", {"trainer": "rloo", "epsilon_low": 0.2, "epsilon_high": 0.2}, 0.0),
    ]  # fmt: skip
    out = []
    for seed, (objectives, reduction, theirs, spread) in enumerate(cases):
        made = samples(seed, spread)
        kind = RLOOTrainer if theirs.get("trainer") == "rloo" else GRPOTrainer
        stub = trainer_of(kind, made["logprobs"], **{k: v for k, v in theirs.items() if k != "trainer"})
        loss = stub._compute_loss(stub.model, inputs_of(made))
        (gradient,) = torch.autograd.grad(loss, made["logprobs"])
        out.append(
            {"objectives": objectives, "reduction": reduction, "trl": theirs, "length": 11}
            | {name: values.tolist() for name, values in made.items()}
            | {"loss": loss.item(), "gradient": gradient.tolist()}
        )
    return out


def ppo() -> list[dict[str, Any]]:
    from trl.experimental.ppo import ppo_trainer

    source = inspect.getsource(ppo_trainer.PPOTrainer.train)

    def lines(first: str, last: str) -> str:
        start = source.rindex("\n", 0, source.index(first)) + 1
        return textwrap.dedent(source[start : source.index(last, start)].rpartition("\n")[0])

    advantages = lines("lastgaelam = 0", "empty_cache()")
    loss = lines("vpredclipped = torch.clamp", "accelerator.backward(loss)")
    out = []
    for seed in range(2):
        random = torch.Generator().manual_seed(seed)

        def normal(*, scale: float = 1.0, random: torch.Generator = random) -> Tensor:
            return scale * torch.randn(ROWS, TOKENS, generator=random)

        # Full rows: TRL gives a shorter response one more state after its end, and the reward there.
        padding = torch.zeros(ROWS, TOKENS, dtype=torch.bool)
        names: dict[str, Any] = {
            "torch": torch, "masked_whiten": ppo_trainer.masked_whiten, "masked_mean": ppo_trainer.masked_mean,
            "args": SimpleNamespace(gamma=0.98, lam=0.9, cliprange_value=0.2, cliprange=0.2, vf_coef=0.1),
            "responses": torch.zeros(ROWS, TOKENS), "padding_mask": padding, "padding_mask_p1": padding,
            "values": normal(), "rewards": normal(scale=0.1), "micro_batch_inds": slice(None),
        }  # fmt: skip
        exec(advantages, names)
        vpred, logprobs = names["values"] + normal(scale=0.3), normal(scale=0.3) - 2
        old = logprobs + normal(scale=0.3)
        vpred.requires_grad_()
        logprobs.requires_grad_()
        names |= {
            "mb_advantage": names["advantages"], "mb_return": names["returns"], "mb_values": names["values"],
            "vpred": vpred, "new_logprobs": logprobs, "mb_logprobs": old,
        }  # fmt: skip
        exec(loss, names)
        gradients = torch.autograd.grad(names["loss"], (vpred, logprobs))
        case = {
            "dense_rewards": names["rewards"], "old_values": names["values"], "advantages": names["advantages"],
            "returns": names["returns"], "values": vpred, "logprobs": logprobs, "old_logprobs": old,
            "loss": names["loss"], "value_gradient": gradients[0], "logprob_gradient": gradients[1],
            "value_clipped": names["vf_clipfrac"],
        }  # fmt: skip
        out.append({name: value.tolist() for name, value in case.items()} | {"gamma": 0.98, "lam": 0.9})
    return out


def main() -> None:
    for name in sys.argv[1:] or ["grpo"]:
        cases = [json.dumps(case) for case in {"grpo": grpo, "ppo": ppo}[name]()]
        path = Path(__file__).with_name(f"trl_{name}.json")
        path.write_text(f'{{"trl": "{trl.__version__}", "cases": [\n' + ",\n".join(cases) + "\n]}\n")
        print(f"{path}: {len(cases)} cases")


if __name__ == "__main__":
    main()
