"""TRL's SFTTrainer on the same rows.

| setting | |
|---|---|
| float32 | float32, no gradient checkpointing, padded batches: the same precision and the same work |
| padding-free | the same batches laid end to end in one row; PyTorch's attention then has a dense mask |
| packed | rows of 1,024 tokens packed best-fit-decreasing, one at a time: batches of its own, of about as many tokens |
| packed-batch | `packing=True` and nothing else: as many packed rows in a batch as others have demonstrations |
| bfloat16 | bfloat16 products, no gradient checkpointing, padded batches |
| defaults | what SFTConfig() sets: bfloat16 products and gradient checkpointing, padded batches |
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from common.meter import Meter

from sides import trl_common

PACKED = 1024
FLOAT32: dict[str, Any] = {"bf16": False, "gradient_checkpointing": False}
SETTINGS: dict[str, dict[str, Any]] = {
    "float32": FLOAT32,
    "padding-free": {**FLOAT32, "max_length": None, "padding_free": True},
    # One packed row at a time: two in one would have a dense mask, and so an attention, of four times the size.
    "packed": {**FLOAT32, "max_length": PACKED, "packing": True, "per_device_train_batch_size": 1},
    "packed-batch": {**FLOAT32, "max_length": PACKED, "packing": True},
    "bfloat16": {"bf16": True, "gradient_checkpointing": False},
    "defaults": {},
}
# The plain template of the other side, with what TRL wants to be told: which words are the assistant's.
TEMPLATE = (
    "{% for message in messages %}{% if message['role'] == 'assistant' %}"
    "{% generation %}{{ message['content'] + eos_token }}{% endgeneration %}"
    "{% else %}{{ message['content'] }}{% endif %}{% endfor %}"
)


def main(job: dict[str, Any]) -> None:
    import torch

    torch.set_num_threads(job["threads"])

    from transformers import AutoModelForCausalLM, AutoTokenizer
    from trl import SFTConfig, SFTTrainer

    meter = Meter()
    meter.start()
    tokenizer = AutoTokenizer.from_pretrained(job["model"])
    more = dict(SETTINGS[job["setting"]])
    if job["setting"] == "packed":
        more["gradient_accumulation_steps"] = max(1, round(job["tokens_per_step"] / PACKED))
    if job["turns"] > 1:
        tokenizer.chat_template = TEMPLATE
        more["assistant_only_loss"] = True
    trainer = SFTTrainer(
        model=AutoModelForCausalLM.from_pretrained(job["model"], dtype=torch.float32),
        args=SFTConfig(**(trl_common.settings(job) | more)),
        train_dataset=trl_common.rows(job),
        processing_class=tokenizer,
    )
    trl_common.train(job, meter, trainer)


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
