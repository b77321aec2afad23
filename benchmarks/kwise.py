"""What sharing prompts is worth: Truing against itself with every prompt copied, on rankings of K responses.

    python benchmarks/kwise.py                                 # size S
    python benchmarks/kwise.py --only kwise-8 --sides truing truing-copied truing-padded
    python benchmarks/kwise.py --size toy --rounds 1 --steps 2 --batch 2

List-wise DPO (`plackett_luce`) on groups of K = 4 and 8 with prompts twice as long as responses, and of K = 8 with
prompts eight times as long; lengths spread half as much as real ones, so that a few groups keep to that. No peer trains
on these. How it is measured, and what is reported: benchmarks/README.md; how the prompts are copied: `sides/copied.py`.
The table says how much sharing could give at best.
Micro-batches are those of the recipe (1,024 tokens), and, for memory, once the whole batch (`-whole`).
Writes `results/kwise-4-SIZE.json` and `.md`, `kwise-8-SIZE`, `kwise-8-long-SIZE`, `kwise-4-whole-SIZE` and
`kwise-8-whole-SIZE`.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent))

from common.comparison import Comparison, Side, main
from common.groups import Shape
from common.rows import ranking

OURS = "sides.truing_train"
SIDES = {
    "truing": Side("Truing", OURS, tokens="once"),
    "truing-copied": Side("Truing, prompts copied", OURS, {"prompts": "copied"}),
    "truing-padded": Side("Truing, prompts copied and rows padded", OURS, {"prompts": "padded"}),
}


def kwise(name: str, title: str, shape: Shape, batch: int = 4, **settings: int) -> Comparison:
    return Comparison(
        name=name,
        title=title,
        unit="groups",
        sides=SIDES,
        default=("truing", "truing-copied"),
        shape=shape,
        row=ranking,
        job={"recipe": "plackett_luce", "settings": settings},
        passes=4,
        first_loss=math.log(math.factorial(shape.responses)),  # all orders are equally likely
        batch=batch,
    )


SHORT = {k: Shape(k, prompt=240, response=120, spread=0.5, longest=1023) for k in (4, 8)}
# Small micro-batches bound everybody's memory. With one micro-batch a step it is that of the tokens.
WHOLE = {"batch": 16, "update.tokens_per_batch": 1_000_000}
COMPARISONS = (
    kwise("kwise-4", "Rankings of 4", SHORT[4]),
    kwise("kwise-8", "Rankings of 8", SHORT[8]),
    kwise("kwise-8-long", "Rankings of 8, long prompts", Shape(8, prompt=640, response=80, spread=0.5, longest=2047)),
    kwise("kwise-4-whole", "Rankings of 4, one micro-batch", SHORT[4], **WHOLE),
    kwise("kwise-8-whole", "Rankings of 8, one micro-batch", SHORT[8], **WHOLE),
)

if __name__ == "__main__":
    main(__doc__, *COMPARISONS)
