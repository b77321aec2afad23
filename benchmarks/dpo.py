"""Truing against TRL, DPO: the same model, rows, precision, optimizer and batches; the same loss comes out.

    python benchmarks/dpo.py                                   # size S: ten minutes
    python benchmarks/dpo.py --size M --steps 2                # half an hour, 16 GB (the peer's)
    python benchmarks/dpo.py --size S --sides truing truing-bfloat16 trl trl-bfloat16 trl-defaults
    python benchmarks/dpo.py --size toy --sides truing --rounds 1 --steps 2 --batch 4

How it is measured, and what is reported: benchmarks/README.md. Writes `results/dpo-SIZE.json` and `.md`.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from common.comparison import Comparison, Side, main
from common.groups import Shape
from common.rows import pair

OURS, PEER = "sides.truing_train", "sides.trl_dpo"
SIDES = {
    "truing": Side("Truing", OURS, tokens="once"),
    "truing-again": Side("Truing, a second run", OURS, tokens="once", passes=3, after="truing"),
    "truing-8192": Side(
        "Truing, micro-batches of 8,192 tokens",
        OURS,
        {"settings": {"update.tokens_per_batch": 8192}},
        tokens="once",
    ),
    "truing-bfloat16": Side(
        "Truing, bfloat16", OURS, {"settings": {"update.autocast": True}}, tokens="once", within=1e-2, float32=False
    ),
    "truing-checkpointed": Side(
        "Truing, activation checkpointing", OURS, {"settings": {"model.checkpointing": True}}, tokens="once"
    ),
    "trl": Side("TRL", PEER, {"setting": "float32"}),
    "trl-cached": Side("TRL, reference cached first", PEER, {"setting": "cached"}, passes=3),
    "trl-bfloat16": Side("TRL, bfloat16", PEER, {"setting": "bfloat16"}, within=1e-2, float32=False),
    "trl-defaults": Side(
        "TRL, its defaults (bfloat16, checkpointing)", PEER, {"setting": "defaults"}, within=1e-2, float32=False
    ),
}
DPO = Comparison(
    name="dpo",
    title="DPO",
    unit="pairs",
    sides=SIDES,
    default=("truing", "trl"),
    shape=Shape(responses=2),
    row=pair,
    job={"recipe": "dpo", "settings": {"beta": 0.1}, "beta": 0.1},
    passes=4,
    first_loss=math.log(2),
)

if __name__ == "__main__":
    main(__doc__, DPO)
