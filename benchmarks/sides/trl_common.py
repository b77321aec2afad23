"""What every trainer of TRL is given: the same optimizer, batches in order, no writing but the model at the end."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

from common.meter import Meter

__all__ = ["rows", "settings", "train"]


def rows(job: dict[str, Any]) -> Any:
    """The rows as a data set."""
    from datasets import Dataset

    return Dataset.from_list([json.loads(line) for line in Path(job["data"]).read_text(encoding="utf-8").splitlines()])


def settings(job: dict[str, Any]) -> dict[str, Any]:
    """For the trainer's config."""
    return {
        "output_dir": job["out"],
        "per_device_train_batch_size": job["batch"],
        "num_train_epochs": 1,
        "learning_rate": job["learning_rate"],
        "lr_scheduler_type": "constant",
        "train_sampling_strategy": "sequential",  # the rows lie in the order in which the other side takes them
        "use_cpu": True,
        "report_to": [],
        "save_strategy": "no",
        "logging_steps": 1,
        "disable_tqdm": True,
        "dataloader_pin_memory": False,
    }


def train(job: dict[str, Any], meter: Meter, trainer: Any) -> None:
    """Train, save the model, write what was measured."""
    from transformers import TrainerCallback

    class Watch(TrainerCallback):
        def on_train_begin(self, *_: Any, **now: Any) -> None:
            meter.ready()

        def on_log(self, *_: Any, **now: Any) -> None:
            logs = now["logs"]
            if "grad_norm" in logs:  # the last line is about the whole run
                meter.step(loss=logs["loss"], grad_norm=logs["grad_norm"], tokens=logs["num_tokens"])

    trainer.add_callback(Watch())
    trainer.train()
    trainer.save_model(str(Path(job["out"]) / "model"))
    for number in range(len(meter.steps) - 1, 0, -1):
        meter.steps[number]["tokens"] -= meter.steps[number - 1]["tokens"]  # TRL logs the sum so far
    meter.write(Path(job["result"]))
