"""Where a step's time goes, for each method: the parts of a Truing step as PyTorch's profiler sees them.

    python benchmarks/where.py                                 # size S: five minutes
    python benchmarks/where.py --methods sft grpo --size M
    python benchmarks/where.py --methods sft --size toy --steps 2

SFT, DPO, a reward model and rankings on 8, 8, 8 and 4 groups as the other benchmarks have them; GRPO and PPO with 4
prompts of 8 responses. float32, one thread, every method a process of its own; the first step is left out. What
happens inside of sampling, attention, the head and the optimizer is counted there; of the rest, operations by their
kind. The profiler itself takes time at every operation, so small operations look larger than they are.

Writes `results/where-SIZE.json` and `.md`.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from common.groups import Shape, make_groups
from common.machine import cpu_name, versions
from common.models import SIZES, write_model
from common.online import make_end_likely, make_prompts, question
from common.rows import demonstration, pair, ranking, write_rows
from common.shares import PARTS
from common.sides import BENCHMARKS, run
from common.table import markdown

OFFLINE: dict[str, tuple[str, Any, Shape, int]] = {
    "sft": ("sft", demonstration, Shape(1), 8),
    "dpo": ("dpo", pair, Shape(2), 8),
    "reward": ("reward", pair, Shape(2), 8),
    "rankings": ("plackett_luce", ranking, Shape(8, prompt=240, spread=0.5, longest=1023), 4),
}
"""Recipe, row, lengths, groups in a batch."""
ONLINE = {"grpo": 4, "ppo": 4}
"""Prompts in a batch."""
SAID = {
    "sft": "SFT", "dpo": "DPO", "reward": "reward model", "rankings": "rankings of 8", "grpo": "GRPO", "ppo": "PPO",
}  # fmt: skip


def measure(method: str, size: str, folder: Path, steps: int, threads: int) -> dict[str, Any]:
    """One process."""
    vocabulary = SIZES[size].vocabulary
    folder.mkdir()
    write_model(SIZES[size], folder / "model")
    job: dict[str, Any] = {"model": str(folder / "model"), "learning_rate": 1e-9, "profile": steps, "steps": steps}
    if method in ONLINE:
        make_end_likely(folder / "model", mean=48)
        prompts = make_prompts(steps * ONLINE[method], vocabulary, seed=0)
        data = write_rows(prompts, question, folder)[True]
        job |= {"recipe": method, "prompts": ONLINE[method], "group": 8, "new": 96, "data": str(data)}
        result = run("sides.truing_grpo", job, folder / "run", threads)
    else:
        recipe, row, shape, batch = OFFLINE[method]
        data = write_rows(make_groups(steps * batch, vocabulary, 0, shape), row, folder)[True]
        job |= {"recipe": recipe, "batch": batch, "settings": {}, "data": str(data)}
        result = run("sides.truing_train", job, folder / "run", threads)
    return {key: result[key] for key in ("parts", "cpu_steps", "peak_megabytes")}


def table(made: dict[str, Any]) -> str:
    """Methods side by side."""
    methods = made["methods"]
    shares = {
        method: {p: s / sum(found["parts"].values()) for p, s in found["parts"].items()}
        for method, found in methods.items()
    }
    rows = [{"": p} | {SAID[method]: f"{shares[method][p]:.0%}" for method in methods} for p in PARTS]
    head = (
        f"**Where a step's time goes, size {made['size']}**: {made['steps'] - 1} steps, {made['threads']} thread(s), "
        f"float32; {made['machine']}; "
        + ", ".join(f"{package} {number}" for package, number in made["versions"].items())
        + ".\n\n"
    )
    return head + markdown(rows)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--methods", nargs="+", choices=SAID, default=list(SAID))
    parser.add_argument("--size", choices=SIZES, default="S")
    parser.add_argument("--steps", type=int, default=4, help="of each run; the first is warm-up")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=BENCHMARKS / "results")
    options = parser.parse_args()
    if options.steps < 2:
        parser.error("--steps: at least 2, the first is warm-up")
    found = {}
    with tempfile.TemporaryDirectory(prefix="truing-benchmark-") as temporary:
        for method in options.methods:
            found[method] = measure(method, options.size, Path(temporary) / method, options.steps, options.threads)
            print(
                f"{SAID[method]}: " + ", ".join(f"{p} {s:.2f} s" for p, s in found[method]["parts"].items()), flush=True
            )
    made = {
        "benchmark": "where", "size": options.size, "steps": options.steps, "threads": options.threads,
        "machine": cpu_name(), "versions": versions("torch", "transformers", "truing"), "methods": found,
    }  # fmt: skip
    options.out.mkdir(parents=True, exist_ok=True)
    stem = options.out / f"where-{options.size}"
    stem.with_suffix(".json").write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")
    stem.with_suffix(".md").write_text(table(made), encoding="utf-8")
    print("\n" + table(made), flush=True)


if __name__ == "__main__":
    main()
