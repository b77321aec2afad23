"""Every offline method on the same preferences of the embedded world, with the same budget.

For each seed: SFT once, preferences once; then each method trains one epoch on the same groups, in a process of its
own so that its peak memory is its own. The answers to held-out prompts are sampled with one seed and judged by the
hidden judge. Settings are the recipes' own but for what a model of 0.8 million parameters needs (`COMMON`, `OWN`); no
method was tuned further, so a difference of a few points says little about the methods at their best.
"""

from __future__ import annotations

import json
import multiprocessing
import resource
import statistics
import sys
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from truing import lab, recipe, registry
from truing.bind import bind
from truing.errors import TruingError
from truing.evaluate import intervals
from truing.evaluate.report import Report, Row, Stage, environment, write_report
from truing.evaluate.winrate import win_rate
from truing.export import export
from truing.feedback.convert import convert
from truing.models.merging import Merge
from truing.progress import Progress
from truing.quickstart.answers import Speaker, judged, kl
from truing.quickstart.stages import SFT, Job, Settings, claim
from truing.record import replace_text
from truing.train import train

__all__ = ["compare_methods", "methods"]

COMMON = {"learning_rate": 3e-4, "batch_size": 8, "warmup": 0.1, "epochs": 1}
OWN: dict[str, dict[str, Any]] = {
    # Adapters want a learning rate about ten times that of full training, and λ depends on the size of the model: with
    # 1e-5 the L1 norm of what SFT changes is half of what it is without (docs/methods/paft.md).
    "paft_sft": {"learning_rate": 3e-3, "objectives": ["sft", {"sparsity": {}, "weight": 1e-5}]},
    "paft_dpo": {"learning_rate": 3e-3},
}
"""What one method needs besides, with the reason."""
PAFT = ("paft_sft", "paft_dpo")
"""The parallel runs that `paft` merges. Each has every other group, so that together they see what one method sees."""
MERGE = Merge("ties")


@dataclass(frozen=True, slots=True)
class Measured:
    """One method, one seed."""

    method: str
    seed: int
    utilities: list[float]
    kl: float
    words: float
    seconds: float
    megabytes: float


def methods() -> list[str]:
    """The shipped offline recipes that train a policy, SFT on the best answers among them, and `paft`, made of two."""
    found = ["paft"]
    for name in recipe.names():
        loaded = recipe.load(name)
        reads = {stream for term in loaded.objectives for stream in bind(registry.objective, term).reads}
        if not loaded.online and "logprobs" in reads and name not in PAFT:
            found.append(name)
    return sorted(found)


def compare_methods(
    out: Path,
    names: Sequence[str] | None = None,
    *,
    seeds: Sequence[int] = (0, 1, 2),
    resume: bool = False,
    settings: Settings | None = None,
) -> Path:
    """Run everything into `out`; the path of `report.html`. What is measured already is not measured again.

    `settings` says how much data there is; its seed is not used.
    """
    torch.set_num_threads(1)
    settings = settings or Settings()
    chosen = list(names or methods())
    rows: list[Measured] = []
    refused: dict[str, str] = {}
    with Progress("methods", len(chosen) * len(seeds), unit="run") as progress:
        for turn, seed in enumerate(seeds):
            job = _prepared(out / f"seed-{seed}", replace(settings, seed=seed), resume)
            for number, name in enumerate(chosen, 1):
                measured = _measured(job, name, refused)
                if measured is not None:
                    rows.append(measured)
                progress.update(turn * len(chosen) + number)
    return _report(out, rows, refused, seeds, settings)


def _prepared(out: Path, settings: Settings, resume: bool) -> Job:
    claim(out, settings, resume)
    job = Job(out, settings)
    data = job.data()
    sft = job.train("SFT", "sft", lab.base_path(), data / "demonstrations.jsonl", SFT)
    preferences = job.preferences(sft)
    for kind in ("labels", "scores"):
        if not (data / f"{kind}.jsonl").exists():
            convert(preferences, data / f"{kind}.jsonl", to=kind)
    return job


def _data_for(job: Job, name: str) -> Path:
    """Rankings, or the thumbs or scores that `truing feedback convert` makes of them."""
    reads = {s for term in recipe.load(name).objectives for s in bind(registry.objective, term).reads}
    kind = next((kind for kind in ("labels", "scores") if kind in reads), "preferences")
    return job.out / "data" / f"{kind}.jsonl"


def _measured(job: Job, name: str, refused: dict[str, str]) -> Measured | None:
    file = job.out / "measured" / f"{name}.json"
    if not file.exists():
        file.parent.mkdir(exist_ok=True)
        # spawn, not fork: a child of this process would inherit its memory and report it as its own.
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            found = pool.apply(_one, (job.out, job.settings, name))
        replace_text(file, json.dumps(found))
    found = json.loads(file.read_text(encoding="utf-8"))
    if "refused" in found:
        refused[name] = found["refused"]
        return None
    return Measured(**found)


def _one(out: Path, settings: Settings, name: str) -> dict[str, Any]:
    """Train and judge one method; what a recipe refuses is reported, not raised."""
    torch.set_num_threads(1)
    job = Job(out, settings)
    sft = out / "sft" / "model"
    try:
        before = time.process_time()  # processor seconds: two runs side by side on one machine measure the same
        model = _paft(job) if name == "paft" else _trained(job, name, _data_for(job, name))
        seconds = time.process_time() - before
    except TruingError as error:
        return {"refused": str(error)}
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / (1024 if sys.platform != "darwin" else 1024**2)
    speaker = Speaker(model)
    found = judged(speaker, settings.test_prompts)
    measured = Measured(
        name,
        settings.seed,
        found.utilities,
        statistics.fmean(kl(speaker, Speaker(sft), found.groups, found.samples)),
        found.words,
        seconds,
        peak,
    )
    return asdict(measured)


def _trained(job: Job, name: str, data: Path) -> Path:
    """The model that a recipe makes of the SFT model."""
    where = {"model.path": str(job.out / "sft" / "model"), "data.train": str(data), "seed": job.settings.seed}
    return train(recipe.load(name, where | COMMON | OWN.get(name, {})), job.out / "methods" / name, resume=True).model


def _paft(job: Job) -> Path:
    """SFT and DPO of adapters in parallel, each on its half of the groups, merged."""
    lines = (job.out / "data" / "preferences.jsonl").read_text(encoding="utf-8").splitlines(keepends=True)
    for part, name in enumerate(PAFT):
        data = job.out / "data" / f"{name}.jsonl"
        replace_text(data, "".join(lines[part::2]))
        _trained(job, name, data)
    merged = job.out / "methods" / "paft" / "model"
    export([str(job.out / "methods" / name) for name in PAFT], merged, MERGE)
    return merged


def _summary(name: str) -> str:
    if name == "paft":
        return f"PAFT: SFT and DPO of adapters, each on half of the groups, merged by {MERGE.by}."
    return recipe.load(name).summary


def _sft_utilities(out: Path, seed: int, settings: Settings) -> list[float]:
    file = out / f"seed-{seed}" / "sft-utilities.json"
    if not file.exists():
        speaker = Speaker(out / f"seed-{seed}" / "sft" / "model")
        replace_text(file, json.dumps(judged(speaker, settings.test_prompts).utilities))
    found: list[float] = json.loads(file.read_text(encoding="utf-8"))
    return found


def _report(
    out: Path, rows: Sequence[Measured], refused: dict[str, str], seeds: Sequence[int], settings: Settings
) -> Path:
    baseline = {seed: _sft_utilities(out, seed, settings) for seed in seeds}
    everything = [u for seed in seeds for u in baseline[seed]]
    table = [Row("SFT", utility=intervals.mean(everything))]
    for name in dict.fromkeys(row.method for row in rows):
        mine = [row for row in rows if row.method == name]
        ours = [u for row in mine for u in row.utilities]
        theirs = [u for row in mine for u in baseline[row.seed]]
        table.append(
            Row(
                name,
                utility=intervals.mean(ours),
                win_rate=win_rate(ours, theirs),
                kl=statistics.fmean(row.kl for row in mine),
                words=statistics.fmean(row.words for row in mine),
                figures={
                    "processor seconds": statistics.fmean(row.seconds for row in mine),
                    "peak MB": max(row.megabytes for row in mine),
                },
            )
        )
    left_out = "".join(f" Left out: {name} ({why.splitlines()[0]})." for name, why in refused.items())
    report = Report(
        title="Offline methods on the embedded world",
        summary=(
            f"Each method trains one epoch on the same {settings.preference_prompts} ranked groups, from the same "
            f"SFT model, {len(seeds)} seed(s). Prompts of all seeds are pooled: the intervals speak of prompts, not of "
            "seeds. Learning rate and batch are the same for all, and none was tuned further: differences of a few "
            f"points say little.{left_out}"
        ),
        evaluation=[table[0], *sorted(table[1:], key=lambda r: -(r.win_rate.rate if r.win_rate else 0.0))],
        stages=[Stage(name, _summary(name), seconds=None) for name in dict.fromkeys(r.method for r in rows)],
        environment=environment(seeds[0], threads=1, seeds=len(seeds)),
        reproduce=["truing compare-methods"],
    )
    return write_report(report, out)
