"""The loop, and the caller that saves and logs.

`loop` yields steps and does nothing else. `train` writes the run folder:

    recipe.yaml         every setting
    record.jsonl        one line of numbers a step; tensorboard/ has the same
    samples.jsonl       texts
    checkpoints/        to go on from, until the run is done
    model/              the result, a plain Hugging Face folder
    adapter/            with LoRA: the adapter alone, to be merged with others (`truing export`)
    reward_model/       with `reward_updates`: the reward model as it ended
    findings.jsonl      what the monitor found (docs/monitor.md); rollbacks.json, if the run went back
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
from truing.errors import NotFiniteError, RecipeError
from truing.experience.aspects import described, errors
from truing.experience.offline import Experience, Offline
from truing.experience.online import Online
from truing.models.saving import save_model
from truing.monitor import Finding, active
from truing.monitor.guard import Guard, Rollbacks, stopped
from truing.recipe import Recipe, dump, load
from truing.record import Recorder, json_safe, replace_text
from truing.update import Updater
from truing.wire import Run, Say, silent, wire

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
    findings: list[dict[str, Any]] = field(default_factory=list)
    """What the monitor found, condition by condition (`Monitor.summary`)."""

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
    tell: Callable[[Finding], None] = lambda finding: None,
    say: Say = silent,
) -> Result:
    """Run a recipe into a folder. `watch` sees every step; `hear` gets each of the run's notes before the first one,
    and how often the reference was asked after the last; `tell` gets what the monitor finds, when it is news; `say`
    what is being done before the first step and after the last. `TrainingError` where the monitor stops the run.

    With `resume` a run that was cut goes on from its newest checkpoint and ends with the same weights, bit for bit, as
    one that was not; a finished run is returned as it is. `RecipeError` for a folder that holds another run.
    """
    _claim(recipe, out, resume)
    if resume and (out / "result.json").exists():
        done = _finished(out)
        hear(f"this run was finished before, after {done.steps} steps: nothing is left to do")
        return done
    began = time.perf_counter()
    if recipe.rounds:
        return _in_rounds(recipe, out, began, watch, hear)
    run = wire(recipe, scratch=next(folder for folder in (out, *out.absolute().parents) if folder.is_dir()), say=say)
    for note in run.notes:
        hear(note)
    out.mkdir(parents=True, exist_ok=True)
    replace_text(out / "recipe.yaml", dump(recipe))
    checkpoints = out / "checkpoints"
    place = checkpoint.latest(checkpoints) if resume else None
    start = 0
    if place:
        start, state = checkpoint.restore(place, run.policy.trained, run.updater.optimizer)
        run.experience.restore(state)
    rollbacks = Rollbacks(out, resume=resume)
    while True:
        run.updater.slowed = rollbacks.share
        guard = Guard(out, recipe.monitor, start, tell)
        finding = guard.pending or _steps(run, out, start, guard, watch, say)
        if finding is None:
            break
        if finding.action == "stop":
            raise stopped(finding)
        start = _back(run, out, finding, rollbacks)
    if run.remembered is not None:
        run.notes.append(run.remembered.summary())
        hear(run.notes[-1])
    say("saving the model", "")
    about = {"recipe": recipe.name, **_scale(run)}
    save_model(run.policy.model, run.chat.tokenizer, out / "model", metadata=about)
    if isinstance(run.experience, Online) and run.experience.co_reward is not None:
        run.experience.co_reward.save(out)
    # An adapter of weights that lie in no folder (a base that was merged on loading) would be of no use alone.
    if recipe.model.lora and run.policy.model.get_base_model().name_or_path:
        save_model(run.policy.model, run.chat.tokenizer, out / "adapter", merge=False, metadata=about)
    result = Result(
        out, run.experience.steps, time.perf_counter() - began, guard.last, run.notes, guard.monitor.summary()
    )
    replace_text(out / "result.json", json.dumps(_plain(result), indent=2) + "\n")
    checkpoint.discard(checkpoints)
    return result


def _in_rounds(
    recipe: Recipe, out: Path, began: float, watch: Callable[[Step], None], hear: Callable[[str], None]
) -> Result:
    from truing.rounds.run import rounds  # which calls `train` for each round

    steps, metrics, notes = rounds(recipe, out, watch=watch, hear=hear)
    result = Result(out, steps, time.perf_counter() - began, metrics, notes)
    replace_text(out / "result.json", json.dumps(_plain(result), indent=2) + "\n")
    return result


def _steps(run: Run, out: Path, start: int, guard: Guard, watch: Callable[[Step], None], say: Say) -> Finding | None:
    """The steps from `start` to the end; or what the monitor found, if that asks to stop or to go back."""
    settings, checkpoints, number = run.recipe.record, out / "checkpoints", start
    say("the first step", "")
    with Recorder(out, resume_step=start) as recorder:
        if start == 0:
            held = run.heldout
            if isinstance(held, Online) and (held.judge or (held.verifies and settings.evaluate_every)):
                # What is to be compared with: the policy as it was.
                first = _evaluation(run)
                recorder.write(0, first)
                guard.see(0, first)
            if any(each.action == "rollback" for each in active(run.recipe.monitor)):
                _save(run, checkpoints, 0)
        try:
            for step in loop(run.experience, run.updater, start):
                number = step.number
                is_last = number == step.total
                if is_last or (settings.evaluate_every and number % settings.evaluate_every == 0):
                    step.metrics.update(_evaluation(run))
                recorder.write(number, step.metrics)
                if settings.sample_every and step.samples and (number - 1) % settings.sample_every == 0:
                    recorder.sample(number, step.samples)
                finding = guard.see(number, step.metrics)
                if finding is not None and finding.action == "stop":
                    _save(run, checkpoints, number, more=1)  # beside one from before it
                elif finding is None and settings.save_every and number % settings.save_every == 0 and not is_last:
                    _save(run, checkpoints, number)
                watch(step)
                if finding is not None:
                    return finding
        except NotFiniteError as error:
            finding = guard.broke(number + 1, error)
            if finding.action == "rollback":
                return finding
            raise
        finally:
            if run.remembered is not None:
                run.remembered.cache.flush()
    return None


def _save(run: Run, checkpoints: Path, number: int, more: int = 0) -> None:
    """Write a checkpoint; `more` are kept besides as many as the recipe says."""
    if run.remembered is not None:  # first: whoever goes on from this checkpoint has read what is written here
        run.remembered.cache.flush()
    checkpoint.save(
        checkpoints,
        number,
        run.policy.trained,
        run.updater.optimizer,
        keep=run.recipe.record.keep + more,
        experience=run.experience.state(),
    )


def _back(run: Run, out: Path, finding: Finding, rollbacks: Rollbacks) -> int:
    """Go back to the newest checkpoint from before the finding; its step. `TrainingError` where that cannot be done."""
    checkpoints = out / "checkpoints"
    allowed = run.recipe.monitor.rollbacks
    if len(rollbacks.rows) >= allowed:
        raise stopped(finding, f"; the run went back {allowed} times already, as often as monitor.rollbacks allows")
    place = checkpoint.before(checkpoints, finding.since)
    if place is None:
        raise stopped(finding, "; no checkpoint from before it is left: a smaller record.save_every or a larger "
                      "record.keep would have kept one")  # fmt: skip
    # In this order: cut in between, a run does it again, for the steps to the finding are the same.
    checkpoint.drop_after(checkpoints, place)
    run.updater.optimizer.state.clear()
    step, state = checkpoint.restore(place, run.policy.trained, run.updater.optimizer)
    run.experience.restore(state)
    rollbacks.add(finding, step)
    return step


def _evaluation(run: Run) -> dict[str, float]:
    """Numbers on what was held out, under `eval/`."""
    if run.heldout is None:
        return {}
    if isinstance(run.heldout, Online):
        return {f"eval/{name}": value for name, value in run.heldout.evaluate().items()}
    if not run.heldout:
        return {}
    metrics = run.updater.evaluate(run.heldout)
    if run.aspects:
        said = run.policy.score_aspects(run.heldout, run.updater.tokens_per_batch)
        metrics |= errors(run.aspects, run.heldout, said)
    return {f"eval/{name}": value for name, value in metrics.items()}


_SCALED = 256
"""Groups whose rewards say where zero is and how large one is: a standard error of 4 % of a deviation."""


def _scale(run: Run) -> dict[str, Any]:
    """How a reward model is read, and mean and spread of its scores on what it was trained on, for z-scores."""
    if run.reading is None:
        return {}
    assert isinstance(run.experience, Offline)
    some, limit = run.experience.trees[:_SCALED], run.updater.tokens_per_batch
    about: dict[str, Any] = {"reading": run.reading}
    match run.reading:
        case "steps" | "pair":  # probabilities need no scale
            pass
        case "aspects":
            rows = [row for each in run.policy.score_aspects(some, limit) for row in each]
            about["aspects"] = described(run.aspects, rows)
        case reading:
            scores = [score for row in run.policy.score(some, limit, reading) for score in row]
            about |= {"mean": statistics.fmean(scores), "std": statistics.pstdev(scores) or 1.0}
    return {"reward": about}


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
    # The monitor looks on, and a cache takes space: who has read what stopped a run may go on with others.
    free: Any = {"monitor": True, "model": {"reference_cache_gb"}}
    held = load(file).model_dump(exclude=free)
    odd = _difference(held, recipe.model_dump(exclude=free))
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
    return Result(out, data["steps"], data["seconds"], data["metrics"], data["notes"], data.get("findings", []))


def _plain(result: Result) -> dict[str, Any]:
    return {
        "steps": result.steps,
        "seconds": result.seconds,
        "metrics": json_safe(result.metrics),
        "notes": result.notes,
        "findings": json_safe(result.findings),
    }
