"""The loop, and the caller that saves and logs.

`loop` yields steps and does nothing else. `train` writes the run folder:

    recipe.yaml         every setting
    record.jsonl        one line of numbers a step; tensorboard/ has the same
    samples.jsonl       texts
    checkpoints/        to go on from
    model/              the result, a plain Hugging Face folder
    result.json         last of all: the run is done
"""

from __future__ import annotations

import json
import math
import statistics
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from truing import checkpoint
from truing.errors import RecipeError
from truing.experience import Experience, Offline, Online
from truing.models.saving import save_model
from truing.recipe import Recipe, dump, load
from truing.record import Recorder, json_safe, replace_text
from truing.update import Updater
from truing.wire import Run, wire

__all__ = ["Result", "Step", "loop", "train"]


@dataclass(frozen=True, slots=True)
class Step:
    """One step done: `number` of `total`, counted from 1."""

    number: int
    total: int
    metrics: dict[str, float]
    samples: list[dict[str, Any]] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Result:
    """What a finished run says of itself."""

    folder: Path
    steps: int
    seconds: float
    metrics: dict[str, float]
    notes: list[str]

    @property
    def model(self) -> Path:
        return self.folder / "model"


def loop(experience: Experience, updater: Updater, start: int = 0) -> Iterator[Step]:
    """Make a batch, update on it, yield; from step `start` to the end."""
    for number in range(start, experience.steps):
        began = time.perf_counter()
        batch = experience.batch(number)
        sampled = time.perf_counter()
        metrics = {**batch.metrics, **updater.step(batch, number)}
        ended = time.perf_counter()
        tokens = sum(tree.num_tokens for tree in batch.trees)
        metrics["tokens_per_second"] = tokens / (ended - began)
        metrics["seconds"] = ended - began
        if batch.policy_version is not None:
            metrics["seconds/rollouts"] = sampled - began
        if "nll" in metrics:
            metrics["perplexity"] = math.exp(min(metrics["nll"], 50.0))
        yield Step(number + 1, experience.steps, metrics, batch.samples)


def train(
    recipe: Recipe,
    out: Path,
    *,
    resume: bool = False,
    watch: Callable[[Step], None] = lambda step: None,
    hear: Callable[[str], None] = lambda note: None,
) -> Result:
    """Run a recipe into a folder. `watch` sees every step; `hear` gets each of the run's notes before the first one.

    With `resume` a run that was cut goes on from its newest checkpoint and ends with the same weights, bit for bit, as
    one that was not; a finished run is returned as it is. `RecipeError` for a folder that holds another run.
    """
    _claim(recipe, out, resume)
    if resume and (out / "result.json").exists():
        return _finished(out)
    began = time.perf_counter()
    run = wire(recipe)
    for note in run.notes:
        hear(note)
    out.mkdir(parents=True, exist_ok=True)
    replace_text(out / "recipe.yaml", dump(recipe))
    checkpoints = out / "checkpoints"
    place = checkpoint.latest(checkpoints) if resume else None
    start = checkpoint.restore(place, run.policy.model, run.updater.optimizer) if place else 0
    last: dict[str, float] = {}
    with Recorder(out, resume_step=start) as recorder:
        for step in loop(run.experience, run.updater, start):
            settings = recipe.record
            due = settings.evaluate_every and step.number % settings.evaluate_every == 0
            if due or step.number == step.total:
                step.metrics.update(_evaluation(run))
            recorder.write(step.number, step.metrics)
            if settings.sample_every and step.samples and (step.number - 1) % settings.sample_every == 0:
                recorder.sample(step.number, step.samples)
            if settings.save_every and step.number % settings.save_every == 0 and step.number < step.total:
                checkpoint.save(checkpoints, step.number, run.policy.model, run.updater.optimizer, keep=settings.keep)
            last = step.metrics
            watch(step)
    save_model(run.policy.model, run.chat.tokenizer, out / "model", metadata={"recipe": recipe.name, **_scale(run)})
    result = Result(out, run.experience.steps, time.perf_counter() - began, last, run.notes)
    replace_text(out / "result.json", json.dumps(_plain(result), indent=2) + "\n")
    return result


def _evaluation(run: Run) -> dict[str, float]:
    """Numbers on what was held out, under `eval/`."""
    if run.heldout is None:
        return {}
    if isinstance(run.heldout, Online):
        batch = run.heldout.batch(0)
        return {f"eval/{name}": value for name, value in batch.metrics.items()}
    if not run.heldout:
        return {}
    return {f"eval/{name}": value for name, value in run.updater.evaluate(run.heldout).items()}


def _scale(run: Run) -> dict[str, Any]:
    """How a reward model is read, and mean and spread of its scores on what it was trained on, for z-scores."""
    if run.reading is None:
        return {}
    if run.reading == "steps":  # probabilities need no scale
        return {"reward": {"reading": run.reading}}
    assert isinstance(run.experience, Offline)
    some = run.experience.trees[:1000]
    scores = [s for row in run.policy.score(some, run.updater.tokens_per_batch, run.reading) for s in row]
    scale = {"mean": statistics.fmean(scores), "std": statistics.pstdev(scores) or 1.0}
    return {"reward": {"reading": run.reading, **scale}}


def _claim(recipe: Recipe, out: Path, resume: bool) -> None:
    file = out / "recipe.yaml"
    if not file.exists():
        return
    if not resume:
        raise RecipeError(
            "there is a run in this folder",
            where=str(out),
            remedy="Continue it with --resume, or choose another --out.",
        )
    held = load(file).model_dump()
    odd = _difference(held, recipe.model_dump())
    if odd:
        raise RecipeError(
            f"the run in this folder was made with another recipe: {odd}",
            where=str(out),
            remedy=f"Resume it with its own: truing train {file} --out {out} --resume; or choose another --out.",
        )


def _difference(held: Any, now: Any, path: str = "") -> str | None:
    if isinstance(held, dict) and isinstance(now, dict):
        for key in held.keys() | now.keys():
            found = _difference(held.get(key), now.get(key), f"{path}.{key}" if path else str(key))
            if found:
                return found
        return None
    return None if held == now else f"{path} was {held!r}, is {now!r}"


def _finished(out: Path) -> Result:
    data = json.loads((out / "result.json").read_text(encoding="utf-8"))
    return Result(out, data["steps"], data["seconds"], data["metrics"], data["notes"])


def _plain(result: Result) -> dict[str, Any]:
    return {
        "steps": result.steps,
        "seconds": result.seconds,
        "metrics": json_safe(result.metrics),
        "notes": result.notes,
    }
