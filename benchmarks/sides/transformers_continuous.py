"""transformers' continuous batching. Each response is a request that ends at the length it had on Truing's side.

Its cache is given the size that the requests need at most: by itself it takes most of the memory, which costs time.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from common.machine import peak_megabytes
from common.meter import Meter
from common.models import SIZES
from common.rollouts import PAD, make_model, make_prompts, read_rate


def main(job: dict[str, Any]) -> None:
    import torch

    torch.set_num_threads(job["threads"])

    from transformers import ContinuousBatchingConfig, GenerationConfig

    meter = Meter()
    meter.start()
    size = SIZES[job["size"]]
    model = make_model(size, None)
    prompts = make_prompts(job["prompts"], size.vocabulary, job["seed"])

    def generate(longest: int) -> list[list[int]]:
        config = GenerationConfig(
            max_new_tokens=longest,
            do_sample=True,
            temperature=1.0,
            top_k=0,
            top_p=1.0,
            pad_token_id=PAD,
            eos_token_id=-1,
        )
        room = ContinuousBatchingConfig(max_batch_tokens=2048)
        blocks = [(len(prompt) + longest) // room.page_size + 2 for prompt in prompts]
        room.num_blocks = job["group"] * sum(blocks)
        torch.manual_seed(job["seed"])
        found: dict[str, int] = {}
        with model.continuous_batching_context_manager(
            generation_config=config, continuous_batching_config=room
        ) as manager:
            requests = [
                [manager.add_request(prompt, max_new_tokens=min(longest, length)) for length in group]
                for prompt, group in zip(prompts, job["responses"], strict=True)
            ]
            while len(found) < sum(map(len, requests)):
                result = manager.get_result(timeout=1)
                if result is not None and result.is_finished():
                    assert result.error is None, result.error
                    found[result.request_id] = len(result.generated_tokens)
                elif result is None and not manager.is_running():
                    raise RuntimeError("the generation thread ended before its requests")
        return [[found[request] for request in group] for group in requests]

    generate(4)  # warms up caches and allocators
    meter.ready()
    found = generate(job["new"])
    meter.step()
    meter.write(Path(job["result"]), responses=found, peak_megabytes=peak_megabytes(), read_rate=read_rate())


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
