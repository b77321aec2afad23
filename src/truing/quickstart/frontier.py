"""Every online method against the same reward model of the embedded world, and best-of-N beside them: how much the
hidden judge likes the answers, and how far the policy has gone for it.

For each seed: SFT, preferences and a reward model once; then each method trains with the same number of sampled
answers. At `MARKS` of its steps held-out prompts are answered, with one seed for all: the points of its route. Settings
are the recipes' own but for what a model of 0.8 million parameters needs (`COMMON`, `OWN`); none was tuned further.
"""

from __future__ import annotations

import json
import multiprocessing
import shutil
import statistics
import time
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import torch

from truing import lab, recipe
from truing.evaluate import intervals
from truing.evaluate.best_of_n import expected_best, kl_bound, powers
from truing.evaluate.report import Report, Row, Stage, environment, write_report
from truing.evaluate.winrate import win_rate
from truing.models.saving import save_model
from truing.progress import Progress
from truing.quickstart.answers import MAX_NEW_TOKENS, Speaker, judged, kl
from truing.quickstart.stages import REWARD, SFT, Job, Settings, claim
from truing.record import replace_text
from truing.rewards.model import RewardModel
from truing.train import loop
from truing.wire import wire

__all__ = ["frontier", "methods"]

ANSWERS = 128
"""Sampled in each step, whatever the method."""
MARKS = (4, 8, 16, 24)
LARGEST_N = 32

COMMON: dict[str, Any] = {
    "learning_rate": 5e-4,
    "warmup": 0.1,
    "schedule": "constant",
    "max_new_tokens": MAX_NEW_TOKENS,
    "missing_end_penalty": 1.0,
}
OWN: dict[str, dict[str, Any]] = {
    # The head begins at 0 and is one row of numbers: at the policy's rate it would learn nothing in 24 steps.
    "ppo": {"critic.lr_multiplier": 10.0, "passes": 2},
    # Each of 16 updates a batch would see one group; and smaller groups, so that there are as many prompts.
    "dapo": {"group_size": 8, "minibatches": 2},
    "gspo": {"minibatches": 2},
    "cispo": {"minibatches": 2},
}
"""What one method needs besides, with the reason."""


@dataclass(frozen=True, slots=True)
class Stop:
    """A method after some of its steps, on held-out prompts."""

    step: int
    utilities: list[float]
    kl: float
    words: float
    reward: float
    """What the reward model, which it was trained on, says."""


@dataclass(frozen=True, slots=True)
class Measured:
    """One method, one seed."""

    method: str
    seed: int
    seconds: float
    stops: list[Stop]


def methods() -> list[str]:
    """The shipped recipes that learn from samples and a reward, in one run."""
    wanted = ("ppo", "reinforce", "reinforce_pp", "remax", "rloo", "grpo", "dr_grpo", "dapo", "gspo", "cispo")
    return [*wanted, "online_dpo"]


def frontier(
    out: Path,
    names: Sequence[str] | None = None,
    *,
    seeds: Sequence[int] = (0, 1, 2),
    resume: bool = False,
    settings: Settings | None = None,
) -> Path:
    """Run everything into `out`; the path of `report.html`. What is measured already is not measured again."""
    torch.set_num_threads(1)
    settings = settings or Settings()
    chosen = list(names or methods())
    rows: list[Measured] = []
    best: list[list[Stop]] = []
    with Progress("methods", len(chosen) * len(seeds), unit="run") as progress:
        for turn, seed in enumerate(seeds):
            job, reward = _prepared(out / f"seed-{seed}", replace(settings, seed=seed), resume)
            best.append(_best_of_n(job, reward))
            for number, name in enumerate(chosen, 1):
                rows.append(_measured(job, reward, name))
                progress.update(turn * len(chosen) + number)
    return _report(out, rows, best, seeds, settings)


def _prepared(out: Path, settings: Settings, resume: bool) -> tuple[Job, Path]:
    claim(out, settings, resume)
    job = Job(out, settings)
    data = job.data()
    sft = job.train("SFT", "sft", lab.base_path(), data / "demonstrations.jsonl", SFT)
    preferences = job.preferences(sft)
    return job, job.train("reward model", "reward", sft, preferences, REWARD)


def _measured(job: Job, reward: Path, name: str) -> Measured:
    file = job.out / "measured" / f"{name}.json"
    if not file.exists():
        file.parent.mkdir(exist_ok=True)
        # A process of its own, so that one method's memory and threads are not the next one's.
        with multiprocessing.get_context("spawn").Pool(1) as pool:
            replace_text(file, json.dumps(pool.apply(_one, (job.out, job.settings, reward, name))))
    found = json.loads(file.read_text(encoding="utf-8"))
    return Measured(found["method"], found["seed"], found["seconds"], [Stop(**stop) for stop in found["stops"]])


def _one(out: Path, settings: Settings, reward: Path, name: str) -> dict[str, Any]:
    torch.set_num_threads(1)
    own = dict(COMMON | OWN.get(name, {}))
    group_size = own.get("group_size") or _group_size(name)
    chosen = recipe.load(
        name,
        {
            "model.path": str(out / "sft" / "model"),
            "data.train": str(out / "data" / "prompts.jsonl"),
            "seed": settings.seed,
            "rewards": [{"model": {"path": str(reward)}}],
            "prompts_per_step": ANSWERS // group_size,
            "update.steps": settings.grpo_steps,
        }
        | own,
    )
    run = wire(chosen)
    seconds, stops = 0.0, []
    folder = out / "methods" / name
    before = time.process_time()
    for step in loop(run.experience, run.updater):
        if step.number in MARKS or step.number == step.total:
            seconds += time.process_time() - before
            save_model(run.policy.model, run.chat.tokenizer, folder)
            stops.append(_judged(Speaker(folder), out, settings, reward, step.number))
            shutil.rmtree(folder)
            before = time.process_time()
    return asdict(Measured(name, settings.seed, seconds, stops))


def _group_size(name: str) -> int:
    rollouts = recipe.load(name).rollouts
    assert rollouts is not None, name
    return rollouts.group_size


def _judged(speaker: Speaker, out: Path, settings: Settings, reward: Path, step: int) -> Stop:
    found = judged(speaker, settings.test_prompts)
    scores = _scores(reward, [g.prompt.text for g in found.groups], found.texts)
    return Stop(
        step,
        found.utilities,
        statistics.fmean(kl(speaker, Speaker(out / "sft" / "model"), found.groups, found.samples)),
        found.words,
        statistics.fmean(scores),
    )


def _scores(reward: Path, prompts: Sequence[str], texts: Sequence[str]) -> list[float]:
    return [float(score) for score in RewardModel(path=str(reward))(prompts, texts)]


def _best_of_n(job: Job, reward: Path) -> list[Stop]:
    """Best-of-N of the SFT model by the same reward model: N takes the place of the step, the bound that of the KL."""
    file = job.out / "best-of-n.json"
    if not file.exists():
        groups = lab.prompts("test", min(200, job.settings.test_prompts), seed=0)
        speaker = Speaker(job.out / "sft" / "model")
        drawn = speaker.answer(groups, LARGEST_N, temperature=1.0, seed=11)
        stops: dict[int, tuple[list[float], list[float]]] = {n: ([], []) for n in powers(LARGEST_N)}
        for group, row in zip(groups, drawn, strict=True):
            texts = [speaker.text(s) for s in row]
            scores = _scores(reward, [group.prompt.text] * len(row), texts)
            request = lab.request_of(group)
            worth = [lab.utility(request, text, s.finished) for text, s in zip(texts, row, strict=True)]
            for n, (values, rewards) in stops.items():
                values.append(expected_best(scores, n, worth))
                rewards.append(expected_best(scores, n))
        found = [
            asdict(Stop(n, values, kl_bound(n), float("nan"), statistics.fmean(rewards)))
            for n, (values, rewards) in stops.items()
        ]
        replace_text(file, json.dumps([{**stop, "words": None} for stop in found]))
    return [Stop(**{**stop, "words": float("nan")}) for stop in json.loads(file.read_text(encoding="utf-8"))]


def _sft(out: Path, seed: int, settings: Settings, reward: Path) -> Stop:
    file = out / f"seed-{seed}" / "sft-judged.json"
    if not file.exists():
        folder = out / f"seed-{seed}"
        replace_text(file, json.dumps(asdict(_judged(Speaker(folder / "sft" / "model"), folder, settings, reward, 0))))
    return Stop(**json.loads(file.read_text(encoding="utf-8")))


def _route(stops: Sequence[Sequence[Stop]]) -> list[tuple[float, float]]:
    """(KL, utility) at each stop, the mean over seeds."""
    together = zip(*stops, strict=True)
    return [
        (statistics.fmean(s.kl for s in at), statistics.fmean(u for s in at for u in s.utilities)) for at in together
    ]


def _report(
    out: Path, rows: Sequence[Measured], best: Sequence[list[Stop]], seeds: Sequence[int], settings: Settings
) -> Path:
    starts = {seed: _sft(out, seed, settings, out / f"seed-{seed}" / "reward" / "model") for seed in seeds}
    table = [
        Row(
            "SFT",
            utility=intervals.mean([u for s in starts.values() for u in s.utilities]),
            kl=0.0,
            words=statistics.fmean(s.words for s in starts.values()),
            figures={"proxy": statistics.fmean(s.reward for s in starts.values())},
        )
    ]
    origin = (0.0, statistics.fmean(u for s in starts.values() for u in s.utilities))
    routes: dict[str, list[tuple[float, float]]] = {}
    for name in dict.fromkeys(row.method for row in rows):
        mine = [row for row in rows if row.method == name]
        ends = [row.stops[-1] for row in mine]
        ours = [u for stop in ends for u in stop.utilities]
        theirs = [u for row in mine for u in starts[row.seed].utilities]
        per_seed = [win_rate(row.stops[-1].utilities, starts[row.seed].utilities).low for row in mine]
        table.append(
            Row(
                name,
                utility=intervals.mean(ours),
                win_rate=win_rate(ours, theirs),
                kl=statistics.fmean(stop.kl for stop in ends),
                words=statistics.fmean(stop.words for stop in ends),
                figures={
                    "proxy": statistics.fmean(stop.reward for stop in ends),
                    "lowest seed's win rate, lower end": min(per_seed),
                    "processor seconds": statistics.fmean(row.seconds for row in mine),
                },
            )
        )
        routes[name] = [origin, *_route([row.stops for row in mine])]
    routes["best-of-N"] = _route(best)
    for index, stop in enumerate(best[0]):
        at = [stops[index] for stops in best]
        table.append(
            Row(
                f"best of {stop.step}",
                utility=intervals.mean([u for s in at for u in s.utilities]),
                kl=stop.kl,
                figures={"proxy": statistics.fmean(s.reward for s in at)},
            )
        )
    report = Report(
        title="Online methods on the embedded world",
        summary=_summary(settings, seeds),
        evaluation=[table[0], *sorted(table[1:], key=lambda r: -(r.win_rate.rate if r.win_rate else 0.0))],
        stages=[Stage(name, recipe.load(name).summary, seconds=None) for name in dict.fromkeys(r.method for r in rows)],
        frontier=routes,
        environment=environment(seeds[0], threads=1, seeds=len(seeds)),
        reproduce=["truing compare-methods --online"],
    )
    return write_report(report, out)


def _summary(settings: Settings, seeds: Sequence[int]) -> str:
    return (
        f"Each method samples {ANSWERS} answers in each of {settings.grpo_steps} steps, from the same SFT model and "
        f"against the same reward model (the proxy), {len(seeds)} seed(s); the hidden judge says what the answers are "
        "worth. Prompts of all seeds are pooled: the intervals speak of prompts, not of seeds. KL from the SFT model "
        "in nats a response, estimated from the same answers; that of best-of-N is its upper bound log N − (N−1)/N. "
        "Settings were not tuned beyond what the size of the model asks for: differences of a few points say little."
    )
