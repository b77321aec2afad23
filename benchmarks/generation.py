"""Truing's local rollouts against transformers: the same model, prompts, sampling, and as many tokens of every row.

    python benchmarks/generation.py                            # size S, 8, 32 and 128 responses at once
    python benchmarks/generation.py --size M --rounds 1
    python benchmarks/generation.py --sides truing --size toy --batch 8 --rounds 1

Every run is a process of its own, one thread, float32, and the sides take turns. Truing samples, and a response ends
when it draws the end token, which the model is made to give a chance of 1 / `--mean`; the peers then make responses
of the same lengths, row by row: so the work is the same, whatever each draws. What is reported:

- CPU seconds of the whole generation after a short warm-up, prompts included, and response tokens per CPU second, up to
  and with the end token; ratios are of runs of the same round;
- the most memory that the process ever held (VmHWM);
- the share of the machine's limit, in two ways: of the time that the unavoidable matrix products would take alone (each
  prompt once, each response token once) at the rate of the faster library's large products; and of the roofline, where
  a step takes at least as long as reading the weights, keys and values once from memory. Both rates are measured at the
  end of the same process. Few rows are bound by the memory, so for them only the second can come near 1.

Writes `results/generation-SIZE.json` and `.md`.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from statistics import fmean
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from common.machine import cpu_name, versions
from common.models import SIZES
from common.rollouts import floor, make_prompts
from common.sides import BENCHMARKS, run
from common.table import markdown, spread

SIDES = {
    "truing": ("Truing", "sides.truing_rollouts"),
    "generate": ("`model.generate`", "sides.transformers_generate"),
    "continuous": ("transformers' continuous batching", "sides.transformers_continuous"),
}


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", nargs="+", choices=SIZES, default=["S"])
    parser.add_argument("--sides", nargs="+", choices=SIDES, default=list(SIDES))
    parser.add_argument("--batch", type=int, nargs="+", default=[8, 32, 128], help="responses at once")
    parser.add_argument("--group", type=int, default=8, help="responses to each prompt")
    parser.add_argument("--new", type=int, default=96, help="most tokens of a response")
    parser.add_argument("--mean", type=int, default=48, help="1 / chance of the end token")
    parser.add_argument("--rounds", type=int, default=3, help="runs of each side")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--suffix", default="", help="added to the names of the written files")
    parser.add_argument("--out", type=Path, default=BENCHMARKS / "results")
    chosen = parser.parse_args()
    if "truing" not in chosen.sides:
        parser.error("--sides: truing is always one, its responses say how long the others' are")
    if any(batch % chosen.group for batch in chosen.batch):
        parser.error(f"--batch: multiples of --group {chosen.group}")
    return chosen


def one_round(size: str, batch: int, folder: Path, options: argparse.Namespace, number: int) -> dict[str, Any]:
    """All sides on the same prompts, ours first: its lengths are everybody's."""
    seed = 1000 * batch + number
    job: dict[str, Any] = {
        "size": size, "prompts": batch // options.group, "group": options.group, "new": options.new,
        "mean": options.mean, "seed": seed,
    }  # fmt: skip
    shape = SIZES[size]
    prompts = [len(p) for p in make_prompts(job["prompts"], shape.vocabulary, seed)]
    found: dict[str, Any] = {}
    for side in sorted(options.sides, key=list(SIDES).index):
        said, module = SIDES[side]
        result = run(module, job, folder / f"{batch}-{number}-{side}", threads=options.threads)
        lengths = job.setdefault("responses", result["responses"])
        if result["responses"] != lengths:
            sys.exit(f"{said} made responses of {result['responses']} tokens, and Truing of {lengths}")
        (seconds,) = result["cpu_steps"]
        gemm_rate = max(result["gemm_rates"].values())
        least = floor(shape, prompts, lengths, gemm_rate, result["read_rate"])
        tokens = sum(map(sum, lengths))
        found[side] = {
            "cpu_seconds": seconds,
            "tokens_per_second": tokens / seconds,
            "share_of_products": least.products / seconds,
            "share_of_roofline": least.roofline / seconds,
            "floor": asdict(least),
            "cpu_process": result["cpu_process"],
            "peak_megabytes": result["peak_megabytes"],
            "megabytes_imports": result["megabytes_imports"],
            "gemm_rates": result["gemm_rates"],
            "read_rate": result["read_rate"],
        }
        print(f"  {batch} at once, round {number + 1}, {said}: {tokens / seconds:.0f} tokens/s", flush=True)
    found["prompts"], found["responses"] = prompts, lengths
    return found


def report(size: str, options: argparse.Namespace, rounds: Mapping[int, Sequence[Mapping[str, Any]]]) -> dict[str, Any]:
    """Everything that is published."""
    shape = SIZES[size]
    every = [r for each in rounds.values() for r in each]
    return {
        "benchmark": "generation",
        "size": size,
        "model": {
            "body weights": shape.body_weights, "vocabulary V": shape.vocabulary, "hidden": shape.hidden,
            "layers": shape.layers,
        },
        "data": {
            "prompt tokens P": fmean(n for r in every for n in r["prompts"]),
            "response tokens R": fmean(n for r in every for group in r["responses"] for n in group),
            "responses K": options.group,
            "longest response": options.new,
        },
        "rounds": options.rounds, "threads": options.threads,
        "machine": cpu_name(),
        "versions": versions("torch", "transformers", "truing"),
        "batches": {str(batch): list(each) for batch, each in rounds.items()},
    }  # fmt: skip


def table(made: Mapping[str, Any]) -> str:
    """The report as Markdown. Ratios are taken within a round; then the median, and the range in brackets."""
    rows, rates = [], []
    for batch, rounds in made["batches"].items():
        for side, (said, _) in SIDES.items():
            if side not in rounds[0]:
                continue
            runs, ours = [r[side] for r in rounds], [r["truing"] for r in rounds]
            rates += runs
            row = {
                "at once": batch,
                "": said,
                "CPU s": spread([r["cpu_seconds"] for r in runs], "{:.2f}"),
                "tokens / s": spread([r["tokens_per_second"] for r in runs], "{:.0f}"),
                "peak MB": spread([r["peak_megabytes"] for r in runs], "{:.0f}"),
                "of the products' limit": spread([r["share_of_products"] for r in runs], "{:.2f}"),
                "of the roofline": spread([r["share_of_roofline"] for r in runs], "{:.2f}"),
            }
            if len(rounds[0]) > 3:
                times = [r["cpu_seconds"] / o["cpu_seconds"] for r, o in zip(runs, ours, strict=True)]
                row["time against Truing"] = spread(times, "{:.1f}x")
            rows.append(row)
    data, model = made["data"], made["model"]
    gemm = fmean(max(run["gemm_rates"].values()) for run in rates) / 1e9
    read = fmean(run["read_rate"] for run in rates) / 1e9
    head = (
        f"**Generation, size {made['size']}**: {model['body weights'] / 1e6:.1f} M body weights, "
        f"V = {model['vocabulary V']}, P = {data['prompt tokens P']:.0f}, R = {data['response tokens R']:.0f} "
        f"(at most {data['longest response']}), K = {data['responses K']}; {made['rounds']} rounds, "
        f"{made['threads']} thread(s), float32; large products {gemm:.0f} GFLOP/s, memory read at {read:.0f} GB/s; "
        f"{made['machine']}; "
        + ", ".join(f"{package} {number}" for package, number in made["versions"].items())
        + ".\n\n"
    )
    return head + markdown(rows)


def main() -> None:
    options = arguments()
    options.out.mkdir(parents=True, exist_ok=True)
    for size in options.size:
        print(f"Generation, size {size}", flush=True)
        with tempfile.TemporaryDirectory(prefix="truing-benchmark-") as temporary:
            rounds = {
                batch: [one_round(size, batch, Path(temporary), options, n) for n in range(options.rounds)]
                for batch in options.batch
            }
        made = report(size, options, rounds)
        stem = f"generation-{size}{options.suffix}"
        (options.out / f"{stem}.json").write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")
        (options.out / f"{stem}.md").write_text(table(made), encoding="utf-8")
        print("\n" + table(made), flush=True)


if __name__ == "__main__":
    main()
