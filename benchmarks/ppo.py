"""PPO against our own GRPO, and DPO against PPO: there is no peer left that runs PPO on a CPU.

    python benchmarks/ppo.py --against grpo      # size S: 4 prompts, 8 responses to each
    python benchmarks/ppo.py --against dpo       # 16 prompts, 2 responses to each
    python benchmarks/ppo.py                     # both
    python benchmarks/ppo.py --size toy --rounds 1 --steps 2 --prompts 2 --new 8 --mean 4

**Against GRPO**: the same prompts and the same responses, token for token (the same seed; the learning rate is too
small to change a sample). Both with a reference, GRPO in the loss, PPO in the reward. Passes are optimizer steps on
each batch. PPO has its value head on the policy, or, for information, a value model with a backbone of its own.

**Against DPO**: PPO samples two responses to each prompt, rewards them, asks reference and value head, and learns, in
one pass or in the four of its recipe. DPO trains on pairs with the same prompts and responses of the same lengths,
once, its reference included. So both get through the same prompt and response tokens, and what DPO saves is sampling,
values and repeated passes. Where the pairs come from is not counted: for DPO they lie in a file.

Every run is a process of its own, one thread, float32; the methods take turns. CPU time of a step, the first left out.
Writes `results/ppo-SIZE.json` and `.md`, or `results/ppo-dpo-SIZE.json` and `.md`.
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
from statistics import fmean, median
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from common.groups import Group
from common.machine import cpu_name, versions
from common.models import SIZES, Size, write_model
from common.online import Drawn, make_end_likely, make_prompts, of_step, question, training
from common.rows import pair, write_rows
from common.sides import BENCHMARKS, run
from common.steps import check_prompts, figures
from common.table import markdown, spread

LEARNING_RATE = 1e-12
"""So small that every method draws the same samples at every step."""
GRPO, PPO = {"recipe": "grpo", "beta": 0.04}, {"recipe": "ppo"}
METHODS: dict[str, dict[str, Any]] = {
    "grpo": {**GRPO, "passes": 1},
    "ppo": {**PPO, "passes": 1},
    "ppo-own": {**PPO, "passes": 1, "own": True},
    "grpo-4": {**GRPO, "passes": 4},
    "ppo-4": {**PPO, "passes": 4},
    "dpo": {"recipe": "dpo"},
}
SAID = {
    "grpo": "GRPO, 1 pass",
    "ppo": "PPO, 1 pass",
    "ppo-own": "PPO, 1 pass, a value model of its own",
    "grpo-4": "GRPO, 4 passes",
    "ppo-4": "PPO, 4 passes",
    "dpo": "DPO, 1 pass",
}
COMPARED = {
    "grpo": [("ppo", "grpo"), ("ppo-own", "grpo"), ("ppo-4", "grpo-4")],
    "dpo": [("ppo", "dpo"), ("ppo-4", "dpo")],
}
"""The first is divided by the second."""


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--against", nargs="+", choices=COMPARED, default=list(COMPARED))
    parser.add_argument("--size", nargs="+", choices=SIZES, default=["S"])
    parser.add_argument("--rounds", type=int, default=3, help="runs of each method")
    parser.add_argument("--steps", type=int, default=5, help="batches of a run; the first is warm-up")
    parser.add_argument("--prompts", type=int, help="prompts in a batch: 4, against DPO 16")
    parser.add_argument("--new", type=int, default=96, help="max_new_tokens")
    parser.add_argument("--mean", type=int, default=48, help="mean length at which responses end, if nothing cuts them")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--out", type=Path, default=BENCHMARKS / "results")
    chosen = parser.parse_args()
    if chosen.steps < 2:
        parser.error("--steps: at least 2, the first is warm-up")
    return chosen


def settled(options: argparse.Namespace, size: str, against: str) -> argparse.Namespace:
    """The options of one comparison."""
    methods = list(dict.fromkeys(method for both in COMPARED[against] for method in both))
    methods.sort(key=lambda method: method == "dpo")  # last: its responses are as long as those of the others
    group = 8 if against == "grpo" else 2
    chosen = {"size": size, "against": against, "methods": methods, "group": group}
    return argparse.Namespace(**{**vars(options), **chosen, "prompts": options.prompts or 32 // group})


def measure(size: Size, model: Path, work: Path, options: argparse.Namespace, number: int) -> dict[str, Any]:
    """One round: all methods on the same prompts, one after the other."""
    prompts = make_prompts(options.steps * options.prompts, size.vocabulary, seed=number)
    work.mkdir(parents=True)
    data = write_rows(prompts, question, work)[True]
    found: dict[str, Any] = {}
    lengths: Any = None
    for method in options.methods:
        if method == "dpo":
            found[method] = offline(size, model, work, options, prompts, lengths)
        else:
            found[method], seen = online(method, size, model, data, work, options)
            check_prompts(method, seen, prompts, options.prompts)
            lengths = lengths or seen
            if seen != lengths:
                sys.exit(f"{method} drew responses of other lengths than {options.methods[0]}: not the same work")
        shown = found[method]
        print(
            f"  round {number + 1}, {SAID[method]}: {shown['cpu_step']:.2f} s a step, {shown['peak_megabytes']:.0f} MB",
            flush=True,
        )
    return found


def online(
    method: str, size: Size, model: Path, data: Path, work: Path, options: argparse.Namespace
) -> tuple[dict[str, Any], Any]:
    """A run of GRPO or PPO, and the lengths that it drew."""
    about = METHODS[method]
    passes, own = about["passes"], about.get("own", False)
    job = {
        "recipe": about["recipe"],
        **({"beta": about["beta"]} if "beta" in about else {}),
        "model": str(model),
        "data": str(data),
        "prompts": options.prompts,
        "group": options.group,
        "steps": options.steps,
        "new": options.new,
        "learning_rate": LEARNING_RATE,
        "settings": {"update.passes": passes, **({"critic.path": str(model)} if own else {})},
    }
    result = run("sides.truing_grpo", job, work / method, threads=options.threads)
    shutil.rmtree(work / method)
    # A forward and a backward pass (as two) each time, the reference once, and the policy once for the values.
    forwards = 3.0 * passes + (1 if about["recipe"] == "grpo" else 2)
    made = figures(result, size, forwards=forwards)
    del made["responses"]
    if own:  # another backbone besides, which the limit does not know of
        del made["training_share"]
    return made, result["lengths"]


def offline(
    size: Size, model: Path, work: Path, options: argparse.Namespace, prompts: Sequence[Group], lengths: Sequence[Any]
) -> dict[str, Any]:
    """A run of DPO on pairs as long as the samples that the others drew."""
    pairs = as_long(prompts, lengths)
    folder = work / "pairs"
    folder.mkdir()
    job = {
        "recipe": "dpo",
        "model": str(model),
        "data": str(write_rows(pairs, pair, folder)[True]),
        "batch": options.prompts,
        "learning_rate": LEARNING_RATE,
        "settings": {"model.reference_cache_gb": 0},  # nothing is remembered from another run
    }
    result = run("sides.truing_train", job, work / "dpo", threads=options.threads)
    shutil.rmtree(work / "dpo")
    drawn = [of_step(step) for step in lengths][1:]
    cpu, rate = result["cpu_steps"][1 - options.steps :], max(result["gemm_rates"].values())
    return {
        "cpu_step": median(cpu),
        "cpu_update": median(cpu),
        "cpu_per_token": sum(cpu) / sum(d.useful for d in drawn),
        "training_share": median(share(size, d, rate, c) for d, c in zip(drawn, cpu, strict=True)),
        **{key: result[key] for key in ("cpu_process", "cpu_loading", "peak_megabytes", "gemm_rates", "cpu_steps")},
    }


def share(size: Size, drawn: Drawn, rate: float, cpu: float) -> float:
    """Of DPO's limit: forward, backward, and the reference's forward."""
    return training(size, drawn, forwards=4.0) / rate / cpu


def as_long(prompts: Sequence[Group], lengths: Sequence[Sequence[tuple[int, Sequence[int]]]]) -> list[Group]:
    """Pairs with these prompts and responses of these lengths, the end token included (one word at least)."""
    sizes = [responses for step in lengths for _, responses in step]
    return [
        Group(group.prompt, [[3 + (7919 * i) % 89 for i in range(max(1, size - 1))] for size in two])
        for group, two in zip(prompts, sizes, strict=True)
    ]


def report(options: argparse.Namespace, rounds: Sequence[dict[str, Any]]) -> dict[str, Any]:
    """Everything that is published."""
    size, first = SIZES[options.size], [r[options.methods[0]] for r in rounds]
    steps = [of_step(step) for r in first for step in r["lengths"]]
    for r in rounds:
        for figures_of in r.values():
            figures_of.pop("lengths", None)
    return {
        "benchmark": "ppo",
        "against": options.against,
        "size": options.size,
        "model": {
            "body weights": size.body_weights, "vocabulary V": size.vocabulary, "hidden": size.hidden,
            "layers": size.layers,
        },
        "data": {
            "prompt tokens P": fmean(d.prompt / d.prompts for d in steps),
            "response tokens R": sum(d.response for d in steps) / sum(d.responses for d in steps),
            "responses K": options.group,
            "prompts a step": options.prompts,
            "max_new_tokens": options.new,
        },
        "steps": options.steps, "rounds": options.rounds, "threads": options.threads,
        "machine": cpu_name(),
        "versions": versions("torch", "transformers", "truing"),
        "methods": {method: [r[method] for r in rounds] for method in options.methods},
    }  # fmt: skip


def table(made: Mapping[str, Any]) -> str:
    """The report as Markdown. Ratios are taken within a round; then the median, and the range in brackets."""
    methods = made["methods"]

    def column(runs: Sequence[Mapping[str, Any]], key: str, form: str) -> str:
        return spread([r[key] for r in runs], form) if key in runs[0] else ""

    rows = [
        {
            "": SAID[method],
            "CPU s / step": column(runs, "cpu_step", "{:.2f}"),
            "sampling": column(runs, "cpu_generation", "{:.2f}"),
            "rewards, reference, values, ...": column(runs, "cpu_making", "{:.2f}"),
            "update": column(runs, "cpu_update", "{:.2f}"),
            "peak MB": column(runs, "peak_megabytes", "{:.0f}"),
            "of the limit: sampling": column(runs, "generation_share", "{:.2f}"),
            "the rest": column(runs, "training_share", "{:.2f}"),
        }
        for method, runs in methods.items()
    ]
    ratios = [
        {
            "": f"{SAID[above]} / {SAID[below]}",
            "CPU time": spread(_ratios(methods, above, below, "cpu_per_token"), "{:.2f}x"),
            "memory": spread(_ratios(methods, above, below, "peak_megabytes"), "{:.2f}x"),
        }
        for above, below in COMPARED[made["against"]]
    ]
    data, model = made["data"], made["model"]
    head = (
        f"**PPO against {made['against'].upper()}, size {made['size']}**: {model['body weights'] / 1e6:.1f} M body "
        f"weights, V = {model['vocabulary V']}, P = {data['prompt tokens P']:.0f}, R = "
        f"{data['response tokens R']:.0f} (at most {data['max_new_tokens']}), K = {data['responses K']}, "
        f"{data['prompts a step']} prompts a step; {made['rounds']} rounds of {made['steps']} steps, "
        f"{made['threads']} thread(s), float32; {made['machine']}; "
        + ", ".join(f"{package} {number}" for package, number in made["versions"].items())
        + ".\n\n"
    )
    return head + markdown(rows) + "\n" + markdown(ratios)


def _ratios(methods: Mapping[str, Any], above: str, below: str, key: str) -> list[float]:
    return [a[key] / b[key] for a, b in zip(methods[above], methods[below], strict=True)]


def main() -> None:
    options = arguments()
    options.out.mkdir(parents=True, exist_ok=True)
    for name, against in product(options.size, options.against):
        compare(settled(options, name, against))


def compare(options: argparse.Namespace) -> None:
    """One size, against one method."""
    size = SIZES[options.size]
    with tempfile.TemporaryDirectory(prefix="truing-benchmark-") as temporary:
        folder = Path(temporary)
        write_model(size, folder / "model")
        make_end_likely(folder / "model", options.mean)
        print(f"PPO against {options.against.upper()}, size {options.size}", flush=True)
        rounds = [measure(size, folder / "model", folder / f"round-{n}", options, n) for n in range(options.rounds)]
    made = report(options, rounds)
    stem = ("ppo-dpo-" if options.against == "dpo" else "ppo-") + options.size
    (options.out / f"{stem}.json").write_text(json.dumps(made, indent=1) + "\n", encoding="utf-8")
    (options.out / f"{stem}.md").write_text(table(made), encoding="utf-8")
    print("\n" + table(made), flush=True)


if __name__ == "__main__":
    main()
