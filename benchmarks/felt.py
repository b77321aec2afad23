"""Costs that users feel: what passes before, beside and after the steps of training.

    python benchmarks/felt.py                              # ten minutes, 1.5 GB of disk
    python benchmarks/felt.py --parts commands start       # some of it
    python benchmarks/felt.py --pairs 100000 --gigabytes 10 --training-gigabytes 2     # two hours, 15 GB of disk

| part | what is measured |
|---|---|
| commands | imports and commands that need no model |
| start | `truing train dpo` until it first says something, and until its first step is done |
| tokenise | a file of preference pairs, from the file to tokens that can be trained on |
| large | the most memory that a file a tenth as large and one as large as asked take to check, count and train on |
| record | the share of a step that writing its numbers takes (record.jsonl and TensorBoard) |
| report | the report of a quickstart |

Every run is a process of its own, the sides take turns (A B A B), medians are reported. The peer, TRL, stands beside
what it has too. Tokens are counted on both sides: they must be those of the same texts, but that a response ends with
its end-of-turn token here and with what the template writes after it (ChatML: a newline) there.

Writes `results/felt.json` and `.md`.
"""

from __future__ import annotations

import argparse
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from statistics import median
from typing import Any

sys.path.insert(0, str(Path(__file__).resolve().parent))

from common.corpus import write_large, write_pairs, write_tokenizer
from common.machine import cpu_name, environment, versions
from common.models import SIZES, write_model
from common.sides import BENCHMARKS, have_peer, run
from common.table import markdown, spread

PARTS = ("commands", "start", "tokenise", "large", "record", "report")
TRUING = [sys.executable, "-c", "from truing.cli import main; main()"]
"""The command `truing`, of this interpreter."""
Found = dict[str, dict[str, list[float]]]
"""By what was measured: numbers by name, one a round."""


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--parts", nargs="+", choices=PARTS, default=PARTS)
    parser.add_argument("--rounds", type=int, default=3, help="runs of each (large and report: one)")
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--pairs", type=int, default=10_000, help="pairs to tokenise")
    parser.add_argument("--gigabytes", type=float, default=1.0, help="the file to check and to count")
    parser.add_argument("--training-gigabytes", type=float, default=0.2, help="the file to train on")
    parser.add_argument("--without-peer", action="store_true", help="measure Truing alone")
    parser.add_argument("--folder", type=Path, help="where files are made (and deleted)")
    parser.add_argument("--suffix", default="", help="of the names of the results")
    return parser.parse_args()


_LAUNCHER = """
import json, os, subprocess, sys, time
began = time.perf_counter()
process = subprocess.Popen(sys.argv[1:], stdout=subprocess.DEVNULL)
_, status, used = os.wait4(process.pid, 0)
wall = time.perf_counter() - began
process.returncode = os.waitstatus_to_exitcode(status)
cpu = used.ru_utime + used.ru_stime
print(json.dumps({"cpu": cpu, "wall": wall, "peak_megabytes": used.ru_maxrss / 1024}))
sys.exit(process.returncode)
"""
# Between: the peak that Linux tells of a child begins with the memory of whoever started it, and here torch is loaded.


def measured(command: Sequence[str], threads: int) -> dict[str, float]:
    """CPU and wall seconds and peak memory of a command that succeeds."""
    done = subprocess.run(
        [sys.executable, "-c", _LAUNCHER, *command], env=variables(threads), capture_output=True, text=True, check=False
    )
    if done.returncode:
        sys.exit(f"{' '.join(command)} failed:\n{done.stderr[-2000:]}")
    found: dict[str, float] = json.loads(done.stdout)
    return found


def variables(threads: int) -> dict[str, str]:
    path = os.pathsep.join([str(BENCHMARKS), *filter(None, [os.environ.get("PYTHONPATH")])])
    return environment(threads) | {"PYTHONPATH": path}


def until(command: Sequence[str], sign: Callable[[str], bool], folder: Path, threads: int) -> dict[str, float]:
    """The same until a line is a `sign`, with the wall seconds until the first line; the process is then ended."""
    began = time.perf_counter()
    caches = {"HF_DATASETS_CACHE": str(folder / "datasets"), "TRUING_CACHE": str(folder / "truing")}
    process = subprocess.Popen(
        command,
        env=variables(threads) | caches | {"PYTHONUNBUFFERED": "1"},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )
    assert process.stdout is not None
    first, lines = 0.0, []
    for line in process.stdout:
        first = first or time.perf_counter() - began
        lines.append(line)
        if sign(line):
            break
    else:
        sys.exit(f"{' '.join(command)} ended without its first step:\n{''.join(lines[-25:])}")
    wall = time.perf_counter() - began
    about = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
    status = Path(f"/proc/{process.pid}/status").read_text().splitlines()
    peak = next(int(each.split()[1]) for each in status if each.startswith("VmHWM"))
    process.kill()
    process.wait()
    process.stdout.close()
    cpu = (int(about[11]) + int(about[12])) / os.sysconf("SC_CLK_TCK")
    return {"cpu": cpu, "wall": wall, "first_line": first, "peak_megabytes": peak / 1024}


class Bench:
    """What is measured, where, and how often."""

    def __init__(self, options: argparse.Namespace, folder: Path) -> None:
        self.options, self.folder, self.found = options, folder, Found()
        self._made: dict[str, Path] = {}
        self._runs = 0

    def add(self, what: str, numbers: dict[str, float]) -> None:
        for name, value in numbers.items():
            self.found.setdefault(what, {}).setdefault(name, []).append(value)
        said = ", ".join(f"{name} {value:.4g}" for name, value in numbers.items())
        print(f"{what}: {said}", flush=True)

    def in_turn(self, sides: dict[str, Callable[[], dict[str, float]]]) -> None:
        for _ in range(self.options.rounds):
            for what, side in sides.items():
                if "TRL" not in what or not self.options.without_peer:
                    self.add(what, side())

    def side(self, module: str, **job: Any) -> dict[str, Any]:
        self._runs += 1
        return run(f"sides.{module}", job, self.folder / f"run-{self._runs}", threads=self.options.threads)

    def model(self, size: str) -> Path:
        """A model with the tokenizer of the corpus."""
        folder = self.folder / size
        if not folder.exists():
            write_model(SIZES[size], folder)
            for file in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
                (folder / file).unlink(missing_ok=True)
            write_tokenizer(folder, SIZES[size].vocabulary)
        return folder

    def pairs(self, number: int, seed: int) -> Path:
        path = self.folder / f"pairs-{number}-{seed}.jsonl"
        if not path.exists():
            write_pairs(path, number, seed)
        return path

    # ---- the parts -------------------------------------------------------------------------------------------------

    def commands(self) -> None:
        python, truing = sys.executable, TRUING
        file = str(self.pairs(1000, 1))
        commands = {
            "python, nothing else": [python, "-c", "pass"],
            "import truing": [python, "-c", "import truing"],
            "truing --help": [*truing, "--help"],
            "truing recipes": [*truing, "recipes"],
            "truing explain dpo": [*truing, "explain", "dpo"],
            "truing feedback check, 1,000 pairs": [*truing, "feedback", "check", file],
            "import torch": [python, "-c", "import torch"],
            "from truing.train import train": [python, "-c", "from truing.train import train"],
            "the same, as `truing train` does": [
                python,
                "-c",
                "from truing.cli import importing\nwith importing(): from truing.train import train",
            ],
            "TRL: from trl import DPOTrainer": [python, "-c", "from trl import DPOConfig, DPOTrainer"],
        }
        self.in_turn({what: lambda c=command: measured(c, self.options.threads) for what, command in commands.items()})

    def start(self) -> None:
        model, data = str(self.model("S")), str(self.pairs(1000, 1))

        def ours() -> dict[str, float]:
            self._runs += 1
            out = self.folder / f"run-{self._runs}"
            settings = ["--set", "update.batch_size=2", "--set", "update.tokens_per_batch=2048"]
            command = [*TRUING, "train", "dpo", "--model", model, "--data", data]
            # Its first line of numbers is that of step 1 of many.
            return until(
                [*command, "--out", str(out / "out"), *settings],
                lambda line: "  1/" in line,
                out,
                self.options.threads,
            )

        def theirs() -> dict[str, float]:
            self._runs += 1
            folder = self.folder / f"run-{self._runs}"
            folder.mkdir()
            job = {"what": "start", "model": model, "data": data, "processes": None, "threads": self.options.threads}
            (folder / "job.json").write_text(json.dumps(job | {"out": str(folder / "out")}))
            command = [sys.executable, "-m", "sides.felt_trl", str(folder / "job.json")]
            return until(command, lambda line: "FIRST STEP" in line, folder, self.options.threads)

        self.in_turn({"until the first step, 1,000 pairs, size S": ours, "TRL: the same start": theirs})

    def tokenise(self) -> None:
        number = self.options.pairs
        job = {"what": "tokenise", "model": str(self.model("S")), "data": str(self.pairs(number, 0)), "count": True}

        def numbers(found: dict[str, Any]) -> dict[str, float]:
            return {k: found[k] for k in ("cpu", "wall", "peak_megabytes")} | found["tokens"]

        self.in_turn(
            {
                f"tokenise {number:,} pairs": lambda: numbers(self.side("felt_truing", **job)),
                f"TRL: tokenise {number:,} pairs": lambda: numbers(self.side("felt_trl", **job, processes=None)),
            }
        )

    def large(self) -> None:
        options = self.options
        truing = [*TRUING, "feedback"]
        for share in (0.1, 1.0):
            path = self.folder / "large.jsonl"
            rows = write_large(path, options.gigabytes * share * 1e9)
            for verb in ("check", "stats"):
                what = f"truing feedback {verb}, {options.gigabytes * share:g} GB, {rows:,} rows"
                self.add(what, measured([*truing, verb, str(path)], options.threads))
            rows = write_large(path, options.training_gigabytes * share * 1e9)
            job = {"what": "tokenise", "model": str(self.model("S")), "data": str(path), "count": False}
            found = self.side("felt_truing", **job)
            what = f"data of a training, {options.training_gigabytes * share:g} GB, {rows:,} rows"
            self.add(what, {k: found[k] for k in ("cpu", "wall", "peak_megabytes", "megabytes_before")})
            path.unlink()

    def record(self) -> None:
        data = str(self.pairs(1000, 1))
        for size, batch in (("toy", 8), ("S", 8)):
            job = {"what": "record", "model": str(self.model("S") if size == "S" else self.toy()), "data": data}
            self.in_turn({f"record, size {size}": lambda j=job, b=batch: self.side("felt_truing", **j, batch=b)})

    def toy(self) -> Path:
        """A model of toy size with the vocabulary of S."""
        folder = self.folder / "toy"
        if not folder.exists():
            from dataclasses import replace

            write_model(replace(SIZES["toy"], vocabulary=SIZES["S"].vocabulary), folder)
            for file in ("tokenizer.json", "tokenizer_config.json", "special_tokens_map.json"):
                (folder / file).unlink(missing_ok=True)
            write_tokenizer(folder, SIZES["S"].vocabulary)
        return folder

    def report(self) -> None:
        out = self.folder / "quickstart"
        # Trained for a moment, judged as long as ever: the report is about answers.
        code = (
            "import sys; from pathlib import Path; from truing.quickstart import Settings, quickstart\n"
            "quickstart(Path(sys.argv[1]), Settings(demonstrations=48, preference_prompts=12, grpo_steps=1))"
        )
        measured([sys.executable, "-c", code, str(out)], self.options.threads)
        self.in_turn(
            {
                "report of a quickstart": lambda: self.side("felt_truing", what="report", quickstart=str(out)),
            }
        )


UNITS = {
    "cpu": ("CPU s", "{:.2f}"),
    "wall": ("wall s", "{:.2f}"),
    "peak_megabytes": ("peak MB", "{:.0f}"),
    "first_line": ("wall s to the first line", "{:.2f}"),
    "megabytes_before": ("MB before", "{:.0f}"),
    "write": ("CPU s / write", "{:.5f}"),
    "step": ("CPU s / step", "{:.3f}"),
    "share": ("share of a step", "{:.2%}"),
    "numbers": ("numbers a step", "{:.0f}"),
    "prompt_ids": ("prompt tokens", "{:.0f}"),
    "chosen_ids": ("chosen tokens", "{:.0f}"),
    "rejected_ids": ("rejected tokens", "{:.0f}"),
}


def tables(found: Found) -> str:
    """One table for all that is measured in the same numbers."""
    alike: dict[tuple[str, ...], list[str]] = {}
    for what, numbers in found.items():
        alike.setdefault(tuple(numbers), []).append(what)
    made = []
    for names, whats in alike.items():
        rows = [
            {"": what} | {UNITS[name][0]: spread(found[what][name], UNITS[name][1]) for name in names} for what in whats
        ]
        made.append(markdown(rows))
    return "\n".join(made)


def main() -> None:
    options = arguments()
    if not options.without_peer and set(options.parts) & {"commands", "start", "tokenise"} and (said := have_peer()):
        sys.exit(f"{said}; or --without-peer")
    folder = Path(tempfile.mkdtemp(prefix="felt-", dir=options.folder))
    bench = Bench(options, folder)
    try:
        for part in options.parts:
            getattr(bench, part)()
    finally:
        shutil.rmtree(folder)
    about = {
        "cpu": cpu_name(),
        "threads": options.threads,
        "versions": versions("torch", "transformers", "tokenizers", "datasets", "trl", "truing"),
        "medians": {what: {k: median(v) for k, v in numbers.items()} for what, numbers in bench.found.items()},
        "found": bench.found,
    }
    results = BENCHMARKS / "results" / f"felt{options.suffix}"
    results.parent.mkdir(exist_ok=True)
    results.with_suffix(".json").write_text(json.dumps(about, indent=1) + "\n", encoding="utf-8")
    named = ", ".join(f"{name} {version}" for name, version in about["versions"].items())
    text = f"{options.threads} thread(s), {options.rounds} rounds; {about['cpu']}; {named}.\n\n{tables(bench.found)}"
    results.with_suffix(".md").write_text(text, encoding="utf-8")
    print(text)


if __name__ == "__main__":
    main()
