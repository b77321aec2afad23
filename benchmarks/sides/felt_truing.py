"""Parts of Truing that have no command of their own, measured from inside.

| what | |
|---|---|
| tokenise | a file as `truing train` reads it: checked, tokenised, laid on disk |
| record | what `Recorder` takes for a step's numbers, beside the step itself |
| report | the report of a quickstart, from its answers and records |
"""

from __future__ import annotations

import json
import sys
import time
from itertools import pairwise
from pathlib import Path
from statistics import median
from typing import Any

from common.machine import peak_megabytes, resident_megabytes


def tokenise(job: dict[str, Any]) -> dict[str, Any]:
    import torch

    torch.set_num_threads(job["threads"])

    from truing import recipe
    from truing.chat import Chat
    from truing.models.loading import load_tokenizer
    from truing.wire import read_trees

    chosen = recipe.load("dpo", {"model.path": job["model"], "data.train": job["data"], **LIMITS})
    limits = chosen.data.max_prompt_tokens, chosen.data.max_response_tokens
    chat = Chat(load_tokenizer(job["model"]), max_prompt_tokens=limits[0], max_response_tokens=limits[1])
    before, cpu, wall = resident_megabytes(), time.process_time(), time.perf_counter()
    trees, held = read_trees(chosen, chat, {"chosen", "rejected", "logprobs", "mask"}, [], Path(job["out"]).parent)
    cpu, wall, peak = time.process_time() - cpu, time.perf_counter() - wall, peak_megabytes()
    tokens = {"prompt_ids": 0, "chosen_ids": 0, "rejected_ids": 0}
    if job["count"]:
        for tree in [*trees, *held]:
            ((better, worse),) = tree.feedback["pairs"]
            tokens["prompt_ids"] += len(tree.prompt)
            tokens["chosen_ids"] += len(tree.branches[better].tokens)
            tokens["rejected_ids"] += len(tree.branches[worse].tokens)
    return {"cpu": cpu, "wall": wall, "peak_megabytes": peak, "megabytes_before": before, "tokens": tokens}


# Neither side is to cut anything: what is counted is the tokens of whole texts.
LIMITS = {"data.max_prompt_tokens": 100_000, "data.max_response_tokens": 100_000, "data.validation_share": 0.0}


def record(job: dict[str, Any]) -> dict[str, Any]:
    import torch

    torch.set_num_threads(job["threads"])

    from truing import recipe
    from truing.record import Recorder, read_record
    from truing.train import train

    out = Path(job["out"])
    settings = {"update.steps": 7, "update.batch_size": job["batch"], "record.save_every": 0}
    chosen = recipe.load("dpo", {"model.path": job["model"], "data.train": job["data"], **LIMITS, **settings})
    marks = [time.process_time()]
    train(chosen, out, watch=lambda step: marks.append(time.process_time()))
    steps = [b - a for a, b in pairwise(marks)][1:-1]  # without loading, without the evaluation
    lines = [{k: v for k, v in line.items() if k != "step"} for line in read_record(out)]
    with Recorder(out / "again", resume_step=None) as recorder:
        recorder.write(0, lines[1])  # imports TensorBoard's writer
        began = time.process_time()
        for number in range(1, 501):
            recorder.write(number, lines[number % len(lines)])
        each = (time.process_time() - began) / 500
    return {"write": each, "step": median(steps), "share": each / median(steps), "numbers": len(lines[1])}


def report(job: dict[str, Any]) -> dict[str, Any]:
    from truing.quickstart.page import page

    cpu, wall = time.process_time(), time.perf_counter()
    page(Path(job["quickstart"]))
    return {"cpu": time.process_time() - cpu, "wall": time.perf_counter() - wall, "peak_megabytes": peak_megabytes()}


if __name__ == "__main__":
    job = json.loads(Path(sys.argv[1]).read_text(encoding="utf-8"))
    found = {"tokenise": tokenise, "record": record, "report": report}[job["what"]](job)
    Path(job["result"]).write_text(json.dumps(found), encoding="utf-8")
