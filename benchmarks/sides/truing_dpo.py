"""Truing's DPO, as `truing train dpo` runs it: `recipe.load` and `train`, nothing else."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from common.meter import Meter


def main(job: dict[str, Any]) -> None:
    import torch

    torch.set_num_threads(job["threads"])

    from truing import recipe, train

    meter = Meter()
    meter.start()
    settings = recipe.load(
        "dpo",
        {
            "model.path": job["model"],
            "data.train": job["data"],
            "data.validation_share": 0.0,
            "data.template": "plain",
            "beta": job["beta"],
            "update.batch_size": job["batch"],
            "update.learning_rate": job["learning_rate"],
            "update.schedule": "constant",
            "update.warmup": 0.0,
            "update.betas": [0.9, 0.999],
            "record.save_every": 0,
            **job.get("settings", {}),
        },
    )

    def watch(step: train.Step) -> None:
        numbers = step.metrics
        tokens = round(numbers["tokens_per_second"] * numbers["seconds"])
        meter.step(loss=numbers["loss"], grad_norm=numbers["grad_norm"], tokens=tokens)

    train.train(settings, Path(job["out"]), watch=watch)
    meter.write(Path(job["result"]))


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
