"""TRL's DPOTrainer on the same rows in the same order.

| setting | |
|---|---|
| float32 | float32, no gradient checkpointing: the same precision and the same work |
| cached | the same, with the reference's log-probabilities computed before training |
| bfloat16 | bfloat16 products, no gradient checkpointing |
| defaults | what DPOConfig() sets: bfloat16 products and gradient checkpointing |
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from common.meter import Meter

SETTINGS: dict[str, dict[str, Any]] = {
    "float32": {"bf16": False, "gradient_checkpointing": False},
    "cached": {"bf16": False, "gradient_checkpointing": False, "precompute_ref_log_probs": True},
    "bfloat16": {"bf16": True, "gradient_checkpointing": False},
    "defaults": {},
}


def main(job: dict[str, Any]) -> None:
    import torch

    torch.set_num_threads(job["threads"])

    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
    from trl import DPOConfig, DPOTrainer

    meter = Meter()
    meter.start()
    config = DPOConfig(
        output_dir=job["out"],
        per_device_train_batch_size=job["batch"],
        num_train_epochs=1,
        learning_rate=job["learning_rate"],
        lr_scheduler_type="constant",
        beta=job["beta"],
        train_sampling_strategy="sequential",  # the rows lie in the order in which the other side takes them
        use_cpu=True,
        report_to=[],
        save_strategy="no",
        logging_steps=1,
        disable_tqdm=True,
        dataloader_pin_memory=False,
        **SETTINGS[job["setting"]],
    )

    class Watch(TrainerCallback):
        def on_log(self, *_: Any, **now: Any) -> None:
            logs = now["logs"]
            if "grad_norm" in logs:  # the last line is about the whole run
                meter.step(loss=logs["loss"], grad_norm=logs["grad_norm"], tokens=logs["num_tokens"])

    rows = [json.loads(line) for line in Path(job["data"]).read_text(encoding="utf-8").splitlines()]
    trainer = DPOTrainer(
        model=AutoModelForCausalLM.from_pretrained(job["model"], dtype=torch.float32),
        args=config,
        train_dataset=Dataset.from_list(rows),
        processing_class=AutoTokenizer.from_pretrained(job["model"]),
        callbacks=[Watch()],
    )
    trainer.train()
    trainer.save_model(str(Path(job["out"]) / "model"))
    for number in range(len(meter.steps) - 1, 0, -1):
        meter.steps[number]["tokens"] -= meter.steps[number - 1]["tokens"]  # TRL logs the sum so far
    meter.write(Path(job["result"]))


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
