"""Truing's GRPO, as `truing train grpo --use reward.py` runs it: its imports, `recipe.load` and `train`, nothing else.

A job may name another online recipe, and say `profile`: so many steps, whose time is then told by parts
(`common.shares`).
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

from common.meter import Meter
from common.online import sums
from common.phases import Phases
from common.shares import SAMPLING, Profile


def main(job: dict[str, Any]) -> None:
    from truing.cli.imports import importing

    with importing():
        import torch

        from truing import recipe, registry, train
        from truing.experience.online import Online
        from truing.rollouts.local import LocalRollouts
        from truing.update import Updater
    torch.set_num_threads(job["threads"])

    meter, phases = Meter(), Phases()
    meter.start()

    @registry.reward
    def token_sums(prompts: Any, completions: Any, *, completion_ids: Any) -> list[float]:
        return sums(prompts, completions, completion_ids)

    settings = recipe.load(job.get("recipe", "grpo"), overrides(job))
    lengths: list[list[tuple[int, list[int]]]] = []
    make = Online.batch

    def batch(online: Online, step: int) -> Any:
        meter.ready()
        made = make(online, step)
        lengths.append([(len(tree.prompt), [len(b.tokens) for b in tree.branches]) for tree in made.trees])
        return made

    Online.batch = batch  # type: ignore[method-assign, assignment]
    phases.watch(Online, "batch", "experience")
    phases.watch(LocalRollouts, "generate", "generation")
    phases.watch(Updater, "step", "update")

    profile = Profile(job["profile"]) if "profile" in job else None
    if profile is not None:
        LocalRollouts.generate = torch.profiler.record_function(SAMPLING)(LocalRollouts.generate)  # type: ignore[method-assign]

    def watch(step: train.Step) -> None:
        numbers = step.metrics
        kept = {name: numbers[name] for name in ("loss", "grad_norm", "reward", "entropy", "kl") if name in numbers}
        meter.step(**kept, **phases.take())
        if profile is not None:
            profile.step()

    train.train(settings, Path(job["out"]), watch=watch)
    meter.write(Path(job["result"]), lengths=lengths, **({} if profile is None else {"parts": profile.read()}))


def overrides(job: dict[str, Any]) -> dict[str, Any]:
    """The job in the recipe's words."""
    return {
        "model.path": job["model"],
        "data.train": job["data"],
        "data.validation_share": 0.0,
        "data.template": "plain",
        "rewards": ["token_sums"],
        "rollouts.group_size": job["group"],
        "rollouts.prompts_per_step": job["prompts"],
        "rollouts.max_new_tokens": job["new"],
        "update.steps": job["steps"],
        "update.learning_rate": job["learning_rate"],
        "update.schedule": "constant",
        "update.warmup": 0.0,
        "update.betas": [0.9, 0.999],
        "record.save_every": 0,
        **objectives(job),
        **job.get("settings", {}),
    }


def objectives(job: dict[str, Any]) -> dict[str, Any]:
    """Without beta there is no reference at all."""
    if "beta" not in job:
        return {}
    clip = {"ppo_clip": {"clip": 0.2}}
    kl = {"kl": {"estimator": "k3"}, "weight": job["beta"]}
    return {"objectives": [clip, kl] if job["beta"] else [clip]}


if __name__ == "__main__":
    main(json.loads(Path(sys.argv[1]).read_text(encoding="utf-8")))
