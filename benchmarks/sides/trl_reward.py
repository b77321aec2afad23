"""TRL's RewardTrainer on the same rows in the same order, from the same body and the same first head.

| setting | |
|---|---|
| float32 | float32, no gradient checkpointing: the same precision and the same work |
| bfloat16 | bfloat16 products, no gradient checkpointing |
| defaults | what RewardConfig() sets: bfloat16 products and gradient checkpointing |
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from common.meter import Meter

from sides import trl_common

SETTINGS: dict[str, dict[str, Any]] = {
    "float32": {"bf16": False, "gradient_checkpointing": False},
    "bfloat16": {"bf16": True, "gradient_checkpointing": False},
    "defaults": {},
}


def main(job: dict[str, Any]) -> None:
    import torch

    torch.set_num_threads(job["threads"])

    from transformers import AutoModelForSequenceClassification, AutoTokenizer
    from trl import RewardConfig, RewardTrainer

    meter = Meter()
    meter.start()
    trainer = RewardTrainer(
        model=AutoModelForSequenceClassification.from_pretrained(job["reward_model"], dtype=torch.float32),
        args=RewardConfig(**trl_common.settings(job), **SETTINGS[job["setting"]]),
        train_dataset=trl_common.rows(job),
        processing_class=AutoTokenizer.from_pretrained(job["model"]),
    )
    trl_common.train(job, meter, trainer)


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
