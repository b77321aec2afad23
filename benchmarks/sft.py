"""Truing against TRL, supervised fine-tuning on ragged demonstrations and on conversations of several turns.

    python benchmarks/sft.py                                   # size S
    python benchmarks/sft.py --sides truing trl-padding-free trl-packed --only sft
    python benchmarks/sft.py --size toy --sides truing --rounds 1 --steps 2 --batch 4

How it is measured, and what is reported: benchmarks/README.md. Both sides train on the answers alone. TRL packs into
batches of its own: there the same rows are trained on, and the CPU time of a useful token is compared.
Writes `results/sft-SIZE.json` and `.md`, and `sft-turns-SIZE`.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from common.comparison import Comparison, Side, main
from common.groups import Shape
from common.rows import conversation, demonstration

OURS, PEER = "sides.truing_train", "sides.trl_sft"
SIDES = {
    "truing": Side("Truing", OURS, tokens="once"),
    "truing-bfloat16": Side(
        "Truing, bfloat16", OURS, {"settings": {"update.autocast": True}}, tokens="once", within=1e-2, float32=False
    ),
    "trl": Side("TRL", PEER, {"setting": "float32"}),
    "trl-padding-free": Side("TRL, padding-free", PEER, {"setting": "padding-free"}),
    "trl-packed": Side("TRL, packed", PEER, {"setting": "packed"}, tokens="own"),
    "trl-packed-batch": Side("TRL, packed, as many rows at once", PEER, {"setting": "packed-batch"}, tokens="own"),
    "trl-bfloat16": Side("TRL, bfloat16", PEER, {"setting": "bfloat16"}, within=1e-2, float32=False),
    "trl-defaults": Side(
        "TRL, its defaults (bfloat16, checkpointing)", PEER, {"setting": "defaults"}, within=1e-2, float32=False
    ),
}
SFT = Comparison(
    name="sft",
    title="SFT",
    unit="demonstrations",
    sides=SIDES,
    default=("truing", "trl", "trl-packed", "trl-defaults"),
    shape=Shape(responses=1),
    row=demonstration,
    job={"recipe": "sft", "turns": 1},
    passes=3,
)
TURNS = replace(
    SFT,
    name="sft-turns",
    title="SFT on conversations",
    unit="conversations",
    shape=Shape(responses=1, prompt=50, response=60, turns=5, longest=95),
    row=conversation,
    job={"recipe": "sft", "turns": 5},
)

if __name__ == "__main__":
    main(__doc__, SFT, TURNS)
