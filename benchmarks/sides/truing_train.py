"""Truing, as `truing train RECIPE` runs it: its imports, `recipe.load` and `train`, nothing else.

A job may say `copied` or `padded`: then every response is given a copy of its prompt (`sides.copied`); or `profile`:
so many steps, whose time is then also told by parts (`common.shares`).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from common.meter import Meter
from common.shares import Profile


def main(job: dict[str, Any]) -> None:
    from truing.cli.imports import importing

    with importing():
        import torch

        from truing import recipe, train
    torch.set_num_threads(job["threads"])

    meter = Meter()
    meter.start()
    settings = recipe.load(
        job["recipe"],
        {
            "model.path": job["model"],
            "data.train": job["data"],
            "data.validation_share": 0.0,
            "data.template": "plain",
            "data.max_prompt_tokens": None,
            "update.batch_size": job["batch"],
            "update.epochs": 1,
            "update.learning_rate": job["learning_rate"],
            "update.schedule": "constant",
            "update.warmup": 0.0,
            "update.betas": [0.9, 0.999],
            "record.save_every": 0,
            **job["settings"],
        },
    )
    profile = Profile(job["profile"]) if "profile" in job else None
    run = None
    if way := job.get("prompts"):
        from sides.copied import copy_prompts

        run = copy_prompts(way)

    def watch(step: train.Step) -> None:
        numbers = step.metrics
        tokens = round(numbers["tokens_per_second"] * numbers["seconds"]) if run is None else run.trained()
        meter.step(loss=numbers["loss"], grad_norm=numbers["grad_norm"], tokens=tokens)
        if profile is not None:
            profile.step()

    train.train(settings, Path(job["out"]), watch=watch, hear=lambda note: meter.ready())
    meter.write(Path(job["result"]), **({} if profile is None else {"parts": profile.read()}))


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
