"""Truing against TRL, reward model: the same body, first head, rows, precision, optimizer and batches.

    python benchmarks/reward.py                                # size S
    python benchmarks/reward.py --sides truing truing-bfloat16 trl trl-bfloat16 trl-defaults
    python benchmarks/reward.py --size toy --sides truing --rounds 1 --steps 2 --batch 4

How it is measured, and what is reported: benchmarks/README.md. The peer starts from the reward model that Truing starts
from, written to disk before; neither centres its rewards. Writes `results/reward-SIZE.json` and `.md`.
"""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from common.comparison import Comparison, Side, main
from common.groups import Shape
from common.rows import pair


def first_reward_model(model: Path, folder: Path) -> dict[str, str]:
    """What Truing makes of the language model before its first step, as a folder."""
    from truing.models.heads import reward_model_from
    from truing.models.loading import load_causal_lm, quiet

    with quiet():
        reward_model_from(load_causal_lm(model)).save_pretrained(folder)
    return {"reward_model": str(folder)}


OURS, PEER = "sides.truing_train", "sides.trl_reward"
SIDES = {
    "truing": Side("Truing", OURS, tokens="once"),
    "truing-bfloat16": Side(
        "Truing, bfloat16", OURS, {"settings": {"update.autocast": True}}, tokens="once", within=5e-2, float32=False
    ),
    "trl": Side("TRL", PEER, {"setting": "float32"}),
    "trl-bfloat16": Side("TRL, bfloat16", PEER, {"setting": "bfloat16"}, within=5e-2, float32=False),
    "trl-defaults": Side(
        "TRL, its defaults (bfloat16, checkpointing)", PEER, {"setting": "defaults"}, within=5e-2, float32=False
    ),
}
REWARD = Comparison(
    name="reward",
    title="Reward model",
    unit="pairs",
    sides=SIDES,
    default=("truing", "trl", "trl-defaults"),
    shape=Shape(responses=2),
    row=pair,
    job={"recipe": "reward", "settings": {"centering": 0.0}},
    passes=3,
    head=False,
    prepare=first_reward_model,
)

if __name__ == "__main__":
    main(__doc__, REWARD)
