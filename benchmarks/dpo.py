"""Truing against TRL, DPO: the same model, rows, precision, optimizer and batches; the same loss comes out.

    python benchmarks/dpo.py                                   # size S: ten minutes
    python benchmarks/dpo.py --size M --steps 2                # half an hour, 16 GB (the peer's)
    python benchmarks/dpo.py --size S --sides truing truing-bfloat16 trl trl-bfloat16 trl-defaults
    python benchmarks/dpo.py --size toy --sides truing --rounds 1 --steps 2 --batch 4

Every run is a process of its own, one thread, and the sides take turns: A B A B. In each round both train on the same
new rows in the same order, each its own usual way from text to a saved model. What is reported:

- CPU seconds of a step (median; the first, which also loads and tokenises, is left out) and of the whole process,
  from the interpreter's start to the saved model; ratios are of all steps but the first together, and of processes;
- the most memory that the process ever held (VmHWM);
- useful tokens (prompt + response, the prompt once per response, no padding) per CPU second;
- the limit: floating-point operations that the matrix products of the policy (forward, backward) and the reference
  (forward) cannot do without (each prompt once, the head at response tokens only), at the rate of large matrix
  products, measured at the end of the same process, divided by the step's CPU time;
- loss and gradient norm of every step on both sides: the proof that the work is the same.

Writes `results/dpo-SIZE.json` and `.md`.
"""

from __future__ import annotations

import argparse
import json
import math
import shutil
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from common.limit import preference_step
from common.machine import cpu_name, versions
from common.models import SIZES, Size, write_model
from common.pairs import Pair, as_row, lengths, make_pairs, sorted_batches
from common.sides import BENCHMARKS, have_peer, run
from common.table import markdown, spread

SIDES: dict[str, tuple[str, dict[str, Any]]] = {
    "truing": ("sides.truing_dpo", {}),
    "truing-8192": ("sides.truing_dpo", {"settings": {"update.tokens_per_batch": 8192}}),
    "truing-bfloat16": ("sides.truing_dpo", {"settings": {"update.autocast": True}}),
    "truing-checkpointed": ("sides.truing_dpo", {"settings": {"model.checkpointing": True}}),
    "trl": ("sides.trl_dpo", {"setting": "float32"}),
    "trl-cached": ("sides.trl_dpo", {"setting": "cached"}),
    "trl-bfloat16": ("sides.trl_dpo", {"setting": "bfloat16"}),
    "trl-defaults": ("sides.trl_dpo", {"setting": "defaults"}),
}
SAID = {
    "truing": "Truing",
    "truing-8192": "Truing, micro-batches of 8,192 tokens",
    "truing-bfloat16": "Truing, bfloat16",
    "truing-checkpointed": "Truing, activation checkpointing",
    "trl": "TRL",
    "trl-cached": "TRL, reference cached first",
    "trl-bfloat16": "TRL, bfloat16",
    "trl-defaults": "TRL, its defaults (bfloat16, checkpointing)",
}
BFLOAT16 = {"truing-bfloat16", "trl-bfloat16", "trl-defaults"}
SEED = 0
"""Truing's seed: it decides the order of its rows."""


def is_ours(side: str) -> bool:
    return side.startswith("truing")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", nargs="+", choices=SIZES, default=["S"])
    parser.add_argument("--sides", nargs="+", choices=SIDES, default=["truing", "trl"])
    parser.add_argument("--rounds", type=int, default=3, help="runs of each side")
    parser.add_argument("--steps", type=int, default=6, help="optimizer steps of a run; the first is warm-up")
    parser.add_argument("--batch", type=int, default=8, help="pairs in a batch")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument(
        "--by-length", action="store_true", help="batches of pairs of similar length: best for the peer"
    )
    parser.add_argument("--suffix", default="", help="added to the names of the written files")
    parser.add_argument("--out", type=Path, default=BENCHMARKS / "results")
    chosen = parser.parse_args()
    if chosen.steps < 2:
        parser.error("--steps: at least 2, the first is warm-up")
    return chosen


def write_rows(pairs: Sequence[Pair], folder: Path) -> dict[str, Path]:
    """`plain.jsonl` has the rows in the order in which they are to be trained on; Truing's file is laid so that its
    shuffle gives the same order."""
    from truing.experience.offline import shuffled

    rows = [json.dumps(as_row(pair)) + "\n" for pair in pairs]
    shuffle = [""] * len(rows)
    for place, row in zip(shuffled(len(rows), SEED, 0), rows, strict=True):
        shuffle[place] = row
    files = {"plain": folder / "plain.jsonl", "truing": folder / "truing.jsonl"}
    files["plain"].write_text("".join(rows), encoding="utf-8")
    files["truing"].write_text("".join(shuffle), encoding="utf-8")
    return files


def measure(size: Size, model: Path, work: Path, options: argparse.Namespace, round_number: int) -> dict[str, Any]:
    """One round: all sides on the same rows, one after the other."""
    pairs = make_pairs(options.steps * options.batch, size.vocabulary, seed=round_number)
    if options.by_length:
        pairs = sorted_batches(pairs, options.batch, seed=round_number)
    work.mkdir(parents=True)
    files = write_rows(pairs, work)
    batches = [pairs[i : i + options.batch] for i in range(0, len(pairs), options.batch)]
    sums = [lengths(batch) for batch in batches]
    found: dict[str, Any] = {}
    for side in options.sides:
        module, setting = SIDES[side]
        job: dict[str, Any] = {
            **setting,
            "model": str(model),
            "data": str(files["truing" if is_ours(side) else "plain"]),
            "batch": options.batch,
            "learning_rate": 1e-5,
            "beta": 0.1,
        }
        result = run(module, job, work / side, threads=options.threads)
        shutil.rmtree(work / side)
        check_tokens(side, result, [s.once if is_ours(side) else s.useful for s in sums])
        found[side] = figures(side, result, size, sums)
        print(
            f"  round {round_number + 1}, {SAID[side]}: {found[side]['cpu_step']:.2f} s a step, "
            f"{found[side]['cpu_process']:.0f} s in all, {found[side]['peak_megabytes']:.0f} MB",
            flush=True,
        )
    found["data"] = lengths(pairs)
    return found


def check_tokens(side: str, result: dict[str, Any], expected: Sequence[int]) -> None:
    """Each side says how many tokens it saw at each step: those that were written, or the comparison is off."""
    seen = [round(step["tokens"]) for step in result["steps"]]
    if seen != list(expected):
        sys.exit(f"{side} saw {seen} tokens at its steps, and {list(expected)} were written")


def figures(side: str, result: dict[str, Any], size: Size, sums: Sequence[Any]) -> dict[str, Any]:
    """What one run comes to."""
    # The first step also warms caches, allocators and (Truing) checks its attention: left out, here and there.
    cpu, rest = result["cpu_steps"][1:], sums[1:]
    rates = [s.useful / c for s, c in zip(rest, cpu, strict=True)]
    shares = [
        preference_step(size, s, reference=side != "trl-cached") / result["gemm_rate"] / c
        for s, c in zip(rest, cpu, strict=True)
    ]
    return {
        "cpu_step": median(cpu),
        "cpu_training": sum(cpu),
        "useful_tokens_per_second": median(rates),
        "share_of_limit": median(shares),
        **{
            key: result[key]
            for key in ("cpu_process", "cpu_imports", "peak_megabytes", "megabytes_imports", "gemm_rate")
        },
        "cpu_steps": result["cpu_steps"],
        "loss": [step["loss"] for step in result["steps"]],
        "grad_norm": [step["grad_norm"] for step in result["steps"]],
    }


def agreement(rounds: Sequence[dict[str, Any]], side: str) -> dict[str, float]:
    """How far a side's losses and gradient norms are from Truing's, at worst: of the first step, and of all."""
    off: dict[str, float] = {}
    for name in ("loss", "grad_norm"):
        pairs = [list(zip(r["truing"][name], r[side][name], strict=True)) for r in rounds]
        off[f"{name}/first"] = max(abs(a - b) / abs(a) for steps in pairs for a, b in steps[:1])
        off[f"{name}/all"] = max(abs(a - b) / abs(a) for steps in pairs for a, b in steps)
    return off


def report(name: str, options: argparse.Namespace, rounds: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Everything that is published."""
    size, data = SIZES[name], [r["data"] for r in rounds]
    made: dict[str, Any] = {
        "benchmark": "dpo",
        "size": name,
        "model": {
            "body weights": size.body_weights, "vocabulary V": size.vocabulary, "hidden": size.hidden,
            "layers": size.layers,
        },
        "data": {
            "prompt tokens P": sum(d.prompt for d in data) / len(data),
            "response tokens R": sum(d.response for d in data) / len(data),
            "responses K": 2,
            "order": "by length" if options.by_length else "random",
        },
        "batch": options.batch, "steps": options.steps, "rounds": options.rounds, "threads": options.threads,
        "machine": cpu_name(),
        "versions": versions("torch", "transformers", "trl", "truing"),
        "sides": {side: [r[side] for r in rounds] for side in options.sides},
    }  # fmt: skip
    if "truing" in options.sides:
        made["agreement"] = {side: agreement(rounds, side) for side in options.sides if side != "truing"}
    return made


def table(made: dict[str, Any]) -> str:
    """The report as Markdown. Ratios are taken within a round; then the median, and the range in brackets."""
    sides = made["sides"]
    ours = sides.get("truing")
    rows = []
    for side, runs in sides.items():
        row = {
            "": SAID[side],
            "CPU s / step": spread([r["cpu_step"] for r in runs], "{:.2f}"),
            "CPU s, process": spread([r["cpu_process"] for r in runs], "{:.0f}"),
            "peak MB": spread([r["peak_megabytes"] for r in runs], "{:.0f}"),
            "useful tokens / s": spread([r["useful_tokens_per_second"] for r in runs], "{:.0f}"),
            # of the float32 rate, which bfloat16 products do not keep to
            "of the limit": "" if side in BFLOAT16 else spread([r["share_of_limit"] for r in runs], "{:.2f}"),
        }
        if ours and len(sides) > 1:
            for key, header, form in (
                ("cpu_training", "steps against Truing", "{:.2f}x"),
                ("cpu_process", "process against Truing", "{:.2f}x"),
                ("peak_megabytes", "memory against Truing", "{:.2f}x"),
            ):
                row[header] = spread([t[key] / o[key] for t, o in zip(runs, ours, strict=True)], form)
        row["loss, norm at step 1"] = f"{runs[0]['loss'][0]:.6f}, {runs[0]['grad_norm'][0]:.5f}"
        rows.append(row)
    data, model = made["data"], made["model"]
    head = (
        f"**DPO, size {made['size']}**: {model['body weights'] / 1e6:.1f} M body weights, V = {model['vocabulary V']}, "
        f"P = {data['prompt tokens P']:.0f}, R = {data['response tokens R']:.0f}, K = 2, "
        f"{made['batch']} pairs a batch, order {data['order']}; {made['rounds']} rounds of {made['steps']} steps, "
        f"{made['threads']} thread(s), float32 where nothing else is said; {made['machine']}; "
        + ", ".join(f"{package} {number}" for package, number in made["versions"].items())
        + ".\n\n"
    )
    tail = "".join(
        f"\n{SAID[side]} against Truing: losses differ by at most {off['loss/all']:.1e}, gradient norms by "
        f"{off['grad_norm/first']:.1e} at step 1 and {off['grad_norm/all']:.1e} at any step (relative).\n"
        for side, off in made.get("agreement", {}).items()
    )
    return head + markdown(rows) + tail


def main() -> None:
    options = arguments()
    if not all(map(is_ours, options.sides)) and (missing := have_peer()):
        sys.exit(f"{missing}\nTruing alone: --sides truing")
    options.out.mkdir(parents=True, exist_ok=True)
    for name in options.size:
        size = SIZES[name]
        with tempfile.TemporaryDirectory(prefix="truing-benchmark-") as temporary:
            folder = Path(temporary)
            write_model(size, folder / "model")
            print(f"DPO, size {name}", flush=True)
            rounds = [measure(size, folder / "model", folder / f"round-{n}", options, n) for n in range(options.rounds)]
        made = report(name, options, rounds)
        for side, runs in made["sides"].items():
            bad = [r["loss"][0] for r in runs if not math.isclose(r["loss"][0], math.log(2), rel_tol=1e-3)]
            if bad:
                sys.exit(f"{side} starts at a loss of {bad[0]}, and DPO starts at log 2: this is not the same work")
        stem = f"dpo-{name}" + ("-by-length" if options.by_length else "") + options.suffix
        (options.out / f"{stem}.json").write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")
        (options.out / f"{stem}.md").write_text(table(made), encoding="utf-8")
        print("\n" + table(made), flush=True)


if __name__ == "__main__":
    main()
