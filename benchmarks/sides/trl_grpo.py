"""TRL's GRPOTrainer on the same prompts in the same order.

| setting | |
|---|---|
| float32 | float32, no gradient checkpointing, all responses of a step in one micro-batch |
| accumulated | the same in micro-batches of one group: less memory |
| bfloat16 | bfloat16 products, no gradient checkpointing |
| defaults | what GRPOConfig() sets: bfloat16 products and gradient checkpointing |
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from common.meter import Meter
from common.online import sums
from common.phases import Phases

SETTINGS: dict[str, dict[str, Any]] = {
    "float32": {"bf16": False, "gradient_checkpointing": False},
    "accumulated": {"bf16": False, "gradient_checkpointing": False},
    "bfloat16": {"bf16": True, "gradient_checkpointing": False},
    "defaults": {},
}


def main(job: dict[str, Any]) -> None:
    import torch

    torch.set_num_threads(job["threads"])

    from datasets import Dataset
    from transformers import AutoModelForCausalLM, AutoTokenizer, TrainerCallback
    from trl import GRPOConfig, GRPOTrainer

    meter, phases = Meter(), Phases()
    meter.start()
    tokenizer = AutoTokenizer.from_pretrained(job["model"])
    rows = [json.loads(line) for line in Path(job["data"]).read_text(encoding="utf-8").splitlines()]
    lengths: list[list[tuple[int, list[int]]]] = []

    def token_sums(prompts: Any, completions: Any, completion_ids: Any, **_: Any) -> list[float]:
        sizes, group = [len(ids) for ids in completion_ids], job["group"]
        asked = [len(tokenizer(prompt)["input_ids"]) for prompt in prompts[::group]]
        lengths.append([(p, sizes[i * group : (i + 1) * group]) for i, p in enumerate(asked)])
        return sums(prompts, completions, completion_ids)

    responses = job["prompts"] * job["group"]
    at_once = job["group"] if job["setting"] == "accumulated" else responses
    config = GRPOConfig(
        output_dir=job["out"],
        per_device_train_batch_size=at_once,
        gradient_accumulation_steps=responses // at_once,
        num_generations=job["group"],
        max_completion_length=job["new"],
        temperature=1.0,
        num_iterations=1,
        num_train_epochs=1,
        learning_rate=job["learning_rate"],
        lr_scheduler_type="constant",
        beta=job["beta"],
        loss_type="grpo",  # a response's mean, then the mean of responses: the recipe's `reduction: sequence`
        shuffle_dataset=False,  # the rows lie in the order in which the other side takes them
        use_cpu=True,
        report_to=[],
        save_strategy="no",
        logging_steps=1,
        disable_tqdm=True,
        dataloader_pin_memory=False,
        **SETTINGS[job["setting"]],
    )

    class Watch(TrainerCallback):
        def on_step_begin(self, *_: Any, **__: Any) -> None:
            meter.ready()

        def on_log(self, *_: Any, **now: Any) -> None:
            logs = now["logs"]
            if "grad_norm" in logs:  # the last line is about the whole run
                spent = phases.take()
                kept = {name: logs[name] for name in ("loss", "grad_norm", "reward", "entropy", "kl") if name in logs}
                meter.step(**kept, **spent)

    trainer = GRPOTrainer(
        model=AutoModelForCausalLM.from_pretrained(job["model"], dtype=torch.float32),
        reward_funcs=token_sums,
        args=config,
        train_dataset=Dataset.from_list(rows),
        processing_class=tokenizer,
        callbacks=[Watch()],
    )
    phases.watch(trainer, "_generate_single_turn", "generation")
    phases.watch(trainer, "_generate_and_score_completions", "experience")
    trainer.train()
    trainer.save_model(str(Path(job["out"]) / "model"))
    meter.write(Path(job["result"]), lengths=lengths)


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
