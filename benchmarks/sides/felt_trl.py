"""TRL's DPO as its documentation begins it: `start` until the first step, `tokenise` until the trainer is made."""

from __future__ import annotations

import json
import sys
import time
from pathlib import Path
from typing import Any

from common.machine import peak_megabytes


def trainer(job: dict[str, Any]) -> Any:
    import torch
    from datasets import load_dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import DPOConfig, DPOTrainer

    torch.set_num_threads(job["threads"])
    model = AutoModelForCausalLM.from_pretrained(job["model"], dtype=torch.float32)
    tokenizer = AutoTokenizer.from_pretrained(job["model"])
    config = DPOConfig(
        output_dir=job["out"],
        per_device_train_batch_size=2,
        use_cpu=True,
        bf16=False,
        gradient_checkpointing=False,
        report_to=[],
        save_strategy="no",
        disable_tqdm=True,
        dataloader_pin_memory=False,
        dataset_num_proc=job["processes"],
    )
    job["began"] = time.process_time(), time.perf_counter()
    rows = load_dataset("json", data_files=job["data"], split="train")
    return DPOTrainer(model=model, args=config, train_dataset=rows, processing_class=tokenizer)


def start(job: dict[str, Any]) -> None:
    made = trainer(job)
    from transformers import TrainerCallback

    class First(TrainerCallback):
        def on_step_end(self, *_: Any, **__: Any) -> None:
            print("FIRST STEP", flush=True)

    made.add_callback(First())
    made.train()


def tokenise(job: dict[str, Any]) -> None:
    made = trainer(job)
    cpu, wall = job["began"]
    result = {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall, "peak_megabytes": peak_megabytes()}
    rows = made.train_dataset
    columns = [name for name in rows.column_names if name.endswith("_ids")]
    result["tokens"] = {name: sum(map(len, rows[name])) for name in columns}
    Path(job["result"]).write_text(json.dumps(result), encoding="utf-8")


if __name__ == "__main__":
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    {"start": start, "tokenise": tokenise}[job["what"]](job)
