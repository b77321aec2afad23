"""Truing against TRL, GRPO: the same model, prompts, group size, reward, precision and optimizer.

    python benchmarks/grpo.py                                  # size S, 4 prompts a step and then 16
    python benchmarks/grpo.py --prompts 4 --beta 0.04          # with a reference
    python benchmarks/grpo.py --prompts 4 --size M --steps 3
    python benchmarks/grpo.py --size toy --sides truing --rounds 1 --steps 2 --prompts 2 --new 8 --mean 4

Every run is a process of its own, one thread, and the sides take turns: A B A B. In each round both take the same new
prompts in the same order. One optimizer step on each batch of samples, sampling temperature 1, no top-p or top-k.

The model's weights are random, so its responses end by chance: after `--mean` tokens on average, at `--new` at the
latest. The sides draw with different random numbers, so the same prompts get responses of the same distribution of
lengths and not of the same lengths. Both sides report every length; the run is refused if the means differ by more than
chance explains, and what is compared is CPU time per useful token: prompt (once per response, as the peer has it) +
response, without padding.

Reported are CPU seconds of a step (the first left out, which loads and warms up), of its parts (sampling; what else
makes the batch: rewards, reference, advantages; the update), of the process, peak memory (VmHWM), and the limit for
sampling and for the rest: floating-point operations of the matrix products that nobody can do without, each prompt
once, at the rate of large matrix products measured in the same process, divided by the CPU time.

The peer is measured at its faster setting here, micro-batches of one group: all responses of a step at once (`--sides
truing trl`) take it more time and twice the memory.

Writes `results/grpo-SIZE-PROMPTS.json` and `.md`.
"""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from collections.abc import Mapping, Sequence
from itertools import product
from pathlib import Path
from statistics import fmean
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from common.machine import cpu_name, versions
from common.models import SIZES, Size, write_model
from common.online import make_end_likely, make_prompts, question, same_lengths
from common.rows import write_rows
from common.sides import BENCHMARKS, have_peer, run
from common.steps import check_prompts, figures
from common.table import markdown, spread

SIDES: dict[str, tuple[str, dict[str, Any]]] = {
    "truing": ("sides.truing_grpo", {}),
    "truing-bfloat16": ("sides.truing_grpo", {"settings": {"update.autocast": True}}),
    "trl": ("sides.trl_grpo", {"setting": "float32"}),
    "trl-accumulated": ("sides.trl_grpo", {"setting": "accumulated"}),
    "trl-bfloat16": ("sides.trl_grpo", {"setting": "bfloat16"}),
    "trl-defaults": ("sides.trl_grpo", {"setting": "defaults"}),
}
SAID = {
    "truing": "Truing",
    "truing-bfloat16": "Truing, update in bfloat16",
    "trl": "TRL",
    "trl-accumulated": "TRL, micro-batches of one group",
    "trl-bfloat16": "TRL, bfloat16",
    "trl-defaults": "TRL, its defaults (bfloat16, checkpointing)",
}
BFLOAT16 = {"truing-bfloat16", "trl-bfloat16", "trl-defaults"}
LEARNING_RATE = 1e-9
"""So small that lengths stay what they are: a larger one makes the end likelier or less so within a few steps."""
BY_CHANCE = 5.0
"""Standard errors by which mean lengths may differ."""


def is_ours(side: str) -> bool:
    return side.startswith("truing")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--size", nargs="+", choices=SIZES, default=["S"])
    parser.add_argument("--sides", nargs="+", choices=SIDES, default=["truing", "trl-accumulated"])
    parser.add_argument("--rounds", type=int, default=3, help="runs of each side")
    parser.add_argument("--steps", type=int, default=6, help="optimizer steps of a run; the first is warm-up")
    parser.add_argument("--prompts", type=int, nargs="+", default=[4, 16], help="prompts in a step: few, many")
    parser.add_argument("--group", type=int, default=8, help="responses to each")
    parser.add_argument("--new", type=int, default=96, help="max_new_tokens")
    parser.add_argument("--mean", type=int, default=48, help="mean length at which responses end, if nothing cuts them")
    parser.add_argument("--beta", type=float, default=0.0, help="weight of the KL term; above 0 there is a reference")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--suffix", default="", help="added to the names of the written files")
    parser.add_argument("--out", type=Path, default=BENCHMARKS / "results")
    chosen = parser.parse_args()
    if chosen.steps < 2:
        parser.error("--steps: at least 2, the first is warm-up")
    return chosen


def measure(size: Size, model: Path, work: Path, options: argparse.Namespace, number: int) -> dict[str, Any]:
    """One round: all sides on the same prompts, one after the other."""
    prompts = make_prompts(options.steps * options.prompts, size.vocabulary, seed=number)
    work.mkdir(parents=True)
    files = write_rows(prompts, question, work)
    found: dict[str, Any] = {}
    for side in options.sides:
        module, setting = SIDES[side]
        job: dict[str, Any] = {
            **setting,
            "model": str(model),
            "data": str(files[is_ours(side)]),
            "prompts": options.prompts,
            "group": options.group,
            "steps": options.steps,
            "new": options.new,
            "learning_rate": LEARNING_RATE,
            "beta": options.beta,
        }
        result = run(module, job, work / side, threads=options.threads)
        shutil.rmtree(work / side)
        check_prompts(side, result["lengths"], prompts, options.prompts)
        found[side] = figures(result, size, forwards=4.0 if options.beta else 3.0)
        shown = found[side]
        print(
            f"  round {number + 1}, {SAID[side]}: {shown['cpu_step']:.2f} s a step (sampling "
            f"{shown['cpu_generation']:.2f}, update {shown['cpu_update']:.2f}), {shown['cpu_process']:.0f} s in all, "
            f"{shown['peak_megabytes']:.0f} MB",
            flush=True,
        )
    return found


def check_lengths(rounds: Sequence[Mapping[str, Any]]) -> dict[str, float]:
    """Standard errors between the mean lengths of each side's responses and those of the first; exits if it is not
    chance."""
    sides = list(rounds[0])
    lengths = {side: [n for r in rounds for n in r[side]["responses"]] for side in sides}
    apart = {side: same_lengths(lengths[sides[0]], lengths[side]) for side in sides[1:]}
    for side, errors in apart.items():
        if errors > BY_CHANCE:
            means = fmean(lengths[sides[0]]), fmean(lengths[side])
            sys.exit(f"{side}: responses of {means[1]:.1f} tokens on average, {sides[0]}'s of {means[0]:.1f}: that is "
                     "not the same work")  # fmt: skip
    return apart


def report(options: argparse.Namespace, rounds: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Everything that is published."""
    size = SIZES[options.size]
    apart = check_lengths(rounds)
    first = [r[options.sides[0]] for r in rounds]
    lengths = [n for r in first for n in r["responses"]]
    for r in rounds:
        for side in options.sides:
            r[side]["response"] = fmean(r[side].pop("responses"))
            del r[side]["lengths"]
    return {
        "benchmark": "grpo",
        "size": options.size,
        "model": {
            "body weights": size.body_weights, "vocabulary V": size.vocabulary, "hidden": size.hidden,
            "layers": size.layers,
        },
        "data": {
            "prompt tokens P": fmean(r["prompt"] for r in first),
            "response tokens R": fmean(lengths),
            "responses K": options.group,
            "prompts a step": options.prompts,
            "max_new_tokens": options.new,
        },
        "beta": options.beta, "steps": options.steps, "rounds": options.rounds, "threads": options.threads,
        "machine": cpu_name(),
        "versions": versions("torch", "transformers", "trl", "truing"),
        "lengths apart, standard errors": apart,
        "sides": {side: [r[side] for r in rounds] for side in options.sides},
    }  # fmt: skip


RATIOS = (
    ("cpu_per_token", "CPU per useful token"),
    ("generation_per_token", "sampling, per response token"),
    ("training_per_token", "the rest, per useful token"),
    ("cpu_process", "process"),
    ("peak_megabytes", "memory"),
)


def table(made: Mapping[str, Any]) -> str:
    """The report as Markdown. Ratios are taken within a round; then the median, and the range in brackets."""
    sides = made["sides"]
    rows, ratios = [], []
    ours = sides.get("truing")
    for side, runs in sides.items():
        slow = side in BFLOAT16  # shares are of the float32 rate, which bfloat16 products do not keep to
        rows.append(
            {
                "": SAID[side],
                "CPU s / step": spread([r["cpu_step"] for r in runs], "{:.2f}"),
                "sampling": spread([r["cpu_generation"] for r in runs], "{:.2f}"),
                "rewards, reference, ...": spread([r["cpu_making"] for r in runs], "{:.2f}"),
                "update": spread([r["cpu_update"] for r in runs], "{:.2f}"),
                "CPU s, process": spread([r["cpu_process"] for r in runs], "{:.0f}"),
                "peak MB": spread([r["peak_megabytes"] for r in runs], "{:.0f}"),
                "useful tokens / s": spread([1 / r["cpu_per_token"] for r in runs], "{:.0f}"),
                "of the limit: sampling": "" if slow else spread([r["generation_share"] for r in runs], "{:.2f}"),
                "the rest": "" if slow else spread([r["training_share"] for r in runs], "{:.2f}"),
            }
        )
        if ours and side != "truing":
            against = {"against Truing": SAID[side]}
            for key, header in RATIOS:
                against[header] = spread([t[key] / o[key] for t, o in zip(runs, ours, strict=True)], "{:.2f}x")
            ratios.append(against)
    data, model = made["data"], made["model"]
    head = (
        f"**GRPO, size {made['size']}**: {model['body weights'] / 1e6:.1f} M body weights, V = "
        f"{model['vocabulary V']}, P = {data['prompt tokens P']:.0f}, R = {data['response tokens R']:.0f} (at most "
        f"{data['max_new_tokens']}), K = {data['responses K']}, {data['prompts a step']} prompts a step, beta = "
        f"{made['beta']:g}; {made['rounds']} rounds of {made['steps']} steps, {made['threads']} thread(s), float32 "
        f"where nothing else is said; {made['machine']}; "
        + ", ".join(f"{package} {number}" for package, number in made["versions"].items())
        + ".\n\n"
    )
    tail = "".join(
        f"\n{SAID[side]}: mean length {errors:.1f} standard errors from {SAID[next(iter(sides))]}'s.\n"
        for side, errors in made["lengths apart, standard errors"].items()
    )
    return head + markdown(rows) + ("\n" + markdown(ratios) if ratios else "") + tail


def main() -> None:
    options = arguments()
    if not all(map(is_ours, options.sides)) and (missing := have_peer()):
        sys.exit(f"{missing}\nTruing alone: --sides truing")
    options.out.mkdir(parents=True, exist_ok=True)
    for name, prompts in product(options.size, options.prompts):
        compare(argparse.Namespace(**{**vars(options), "size": name, "prompts": prompts}))


def compare(options: argparse.Namespace) -> None:
    """One size, one number of prompts."""
    size = SIZES[options.size]
    with tempfile.TemporaryDirectory(prefix="truing-benchmark-") as temporary:
        folder = Path(temporary)
        write_model(size, folder / "model")
        make_end_likely(folder / "model", options.mean)
        print(f"GRPO, size {options.size}, {options.prompts} prompts a step", flush=True)
        rounds = [measure(size, folder / "model", folder / f"round-{n}", options, n) for n in range(options.rounds)]
    made = report(options, rounds)
    stem = f"grpo-{options.size}-{options.prompts}" + ("-reference" if options.beta else "") + options.suffix
    (options.out / f"{stem}.json").write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")
    (options.out / f"{stem}.md").write_text(table(made), encoding="utf-8")
    print("\n" + table(made), flush=True)


if __name__ == "__main__":
    main()
