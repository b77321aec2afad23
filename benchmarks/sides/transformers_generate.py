"""`model.generate` with left padding. Each row ends at the length it had on Truing's side: END is never drawn, and a
criterion ends the rows as `generate`'s own does, by one comparison of [rows] a step."""

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

    from transformers import GenerationConfig, StoppingCriteria, StoppingCriteriaList

    class Ends(StoppingCriteria):
        def __init__(self, columns: Any) -> None:
            self.columns = columns

        def __call__(self, input_ids: Any, scores: Any, **_: Any) -> Any:
            return self.columns <= input_ids.shape[1]

    meter = Meter()
    meter.start()
    size = SIZES[job["size"]]
    model = make_model(size, None)
    prompts = make_prompts(job["prompts"], size.vocabulary, job["seed"])
    rows = [prompt for prompt in prompts for _ in range(job["group"])]
    width = max(map(len, rows))
    lengths = torch.tensor([length for group in job["responses"] for length in group])

    def generate(longest: int) -> list[list[int]]:
        ids = torch.tensor([[PAD] * (width - len(p)) + p for p in rows])
        mask = torch.tensor([[0] * (width - len(p)) + [1] * len(p) for p in rows])
        config = GenerationConfig(
            max_new_tokens=longest,
            do_sample=True,
            temperature=1.0,
            top_k=0,
            top_p=1.0,
            pad_token_id=PAD,
            eos_token_id=END,
        )
        ends = StoppingCriteriaList([Ends(width + lengths)])
        torch.manual_seed(job["seed"])
        out: Any = model.generate(input_ids=ids, attention_mask=mask, generation_config=config, stopping_criteria=ends)
        counts = (out[:, width:] != PAD).sum(1).tolist()
        return [counts[i : i + job["group"]] for i in range(0, len(counts), job["group"])]

    generate(4)  # warms up caches and allocators
    meter.ready()
    found = generate(job["new"])
    meter.step()
    meter.write(Path(job["result"]), responses=found, peak_megabytes=peak_megabytes(), read_rate=read_rate())


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
