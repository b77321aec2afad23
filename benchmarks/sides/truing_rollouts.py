"""Truing's local rollouts, from cold: the check against the model's own forward is in the time."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from common.machine import peak_megabytes
from common.meter import Meter
from common.models import SIZES
from common.rollouts import END, PAD, make_model, make_prompts, read_rate


def main(job: dict[str, Any]) -> None:
    import torch

    torch.set_num_threads(job["threads"])

    from truing.rollouts.local import LocalRollouts, Sampling

    meter = Meter()
    meter.start()
    size = SIZES[job["size"]]
    model = make_model(size, job["mean"])
    prompts = make_prompts(job["prompts"], size.vocabulary, job["seed"])

    def responses(longest: int) -> list[list[int]]:
        rollouts = LocalRollouts(model, stop_ids=frozenset([END]), pad_id=PAD)
        samples = rollouts.generate(prompts, job["group"], Sampling(max_new_tokens=longest, seed=job["seed"]))
        assert rollouts.engine == "lean", rollouts.engine
        return [[len(sample.tokens) for sample in row] for row in samples]

    responses(4)  # warms up caches and allocators
    meter.ready()
    found = responses(job["new"])
    meter.step()
    meter.write(Path(job["result"]), responses=found, peak_megabytes=peak_megabytes(), read_rate=read_rate())


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
