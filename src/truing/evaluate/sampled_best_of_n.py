"""Best-of-N of a model on a file of prompts: samples drawn, scored, and the curve of `best_of_n` written."""

from __future__ import annotations

import json
import math
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from truing import feedback, registry
from truing.bind import bind
from truing.errors import DataError, UserError
from truing.evaluate.best_of_n import Point, curve, powers
from truing.evaluate.intervals import Interval
from truing.generate import chunks
from truing.recipe import Named
from truing.record import json_safe, replace_text
from truing.rewards.score import Function, score
from truing.rollouts.sampling import Sampling
from truing.sampler import Answered, Sampler

__all__ = ["measure", "table"]


def measure(
    model: str,
    data: str,
    out: Path,
    rewards: Sequence[Named],
    *,
    values: Sequence[Named] = (),
    largest: int = 16,
    samples: int | None = None,
    sampling: Sampling,
    template: str = "auto",
    skip_bad: bool = False,
) -> str:
    """Write the curve for N = 1, 2, 4, ..., `largest` as JSON, and say it as a table.

    `values` are rewards that do not choose: what they say of the chosen shows what the choice is worth to somebody
    else. More `samples` than `largest` make the estimates steadier. Prompts with a sample that a reward does not speak
    of are left out and counted.
    """
    num = largest if samples is None else samples
    if num < largest:
        raise UserError(
            f"{num} samples for each prompt, and N goes up to {largest}", remedy="Raise --samples, or lower --n."
        )
    sampler = Sampler(model, [bind(registry.reward, named) for named in rewards], template=template)
    judges = [(bound.name, bound.weight, bound.function) for bound in (bind(registry.reward, v) for v in values)]
    chosen: list[list[float]] = []
    judged: list[list[float]] = []
    asked = 0
    for groups in chunks(feedback.read(data, skip_bad=skip_bad), 256):
        if not asked:
            sampler.check(groups)
        for answered in sampler.answer(groups, num, sampling):
            asked += 1
            said = _judged(judges, answered) if judges else []
            if not any(map(math.isnan, [*answered.rewards, *said])):
                chosen.append(answered.rewards)
                judged.append(said)
    if not chosen:
        raise DataError(f"of {asked} prompts there is none whose samples all got a reward", where=data)
    points = curve(chosen, judged if judges else None, powers(largest))
    rows = [asdict(point) for point in points]
    about = {"model": model, "data": data, "samples": num, "prompts": len(chosen), "left_out": asked - len(chosen)}
    replace_text(out, json.dumps(json_safe({**about, "curve": rows}), indent=2) + "\n")
    left = f"; {asked - len(chosen)} left out, not all of their samples got a reward" if asked > len(chosen) else ""
    return f"{len(chosen)} prompts, {num} samples each{left}\n{table(points)}"


def table(points: Sequence[Point]) -> str:
    """One line for each N."""
    lines = [f"{'N':>4}  {'KL at most':>10}  {'reward':24}{'value' if points[0].value else ''}".rstrip()]
    for p in points:
        value = _shown(p.value) if p.value else ""
        lines.append(f"{p.n:4}  {p.kl_bound:10.3f}  {_shown(p.reward):24}{value}".rstrip())
    return "\n".join(lines)


def _judged(judges: Sequence[Function], answered: Answered) -> list[float]:
    scored = score(judges, [answered.group], [answered.prompt], [answered.samples], [answered.texts])
    return scored.totals[0]


def _shown(interval: Interval) -> str:
    return f"{interval.value:.3f} [{interval.low:.3f}, {interval.high:.3f}]"
