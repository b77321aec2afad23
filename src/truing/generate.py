"""Sample responses for a file of prompts; with rewards, best-of-N."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from itertools import islice
from pathlib import Path
from typing import Any

from truing import feedback, registry
from truing.bind import bind
from truing.errors import DataError
from truing.evaluate.best_of_n import kl_bound
from truing.evaluate.intervals import Interval, mean
from truing.group import Group
from truing.recipe import Named
from truing.rollouts.sampling import Sampling
from truing.sampler import Answered, Sampler

__all__ = ["Generated", "chunks", "generate"]

_CHUNK = 256


@dataclass
class Generated:
    """What became of a file of prompts."""

    prompts: int = 0
    skipped: list[DataError] = field(default_factory=list)
    """Rows that could not be read."""
    samples: int = 1
    averages: list[float] = field(default_factory=list)
    """By prompt, the mean reward of its samples; prompts that no reward spoke of are left out."""
    bests: list[float] = field(default_factory=list)
    silent: int = 0
    """Prompts of whose samples no reward spoke."""

    def text(self, *, best_of: bool) -> str:
        """For people."""
        lines = [f"{self.prompts} prompts answered"]
        if self.skipped:
            lines.append(f"{len(self.skipped)} rows skipped as unreadable; the first: {self.skipped[0].where}: "
                         f"{self.skipped[0].found}")  # fmt: skip
        if self.silent:
            lines.append(f"{self.silent} prompts of whose samples no reward spoke: the first sample was taken")
        if best_of and self.bests:
            lines += [
                f"reward: {_shown(mean(self.bests))} best of {self.samples}, {_shown(mean(self.averages))} any of them",
                f"KL from the model as it samples: at most {kl_bound(self.samples):.2f} nats a response "
                "(log N - (N-1)/N, an upper bound; docs/best-of-n.md)",
            ]
        return "\n".join(lines)


def generate(
    model: str,
    data: str,
    out: Path,
    *,
    num_samples: int,
    sampling: Sampling,
    rewards: Sequence[Named] = (),
    only_best: bool = False,
    template: str = "auto",
    skip_bad: bool = False,
) -> Generated:
    """Write one row a prompt: `prompt` and `responses`, with rewards also `scores`, best first. With `only_best`
    instead the best alone, as `completion` with its `reward`: demonstrations.

    The file appears when it is complete.
    """
    sampler = Sampler(model, [bind(registry.reward, named) for named in rewards], template=template)
    out.parent.mkdir(parents=True, exist_ok=True)
    draft = out.with_name(f".{out.name}.{os.getpid()}")
    done = Generated(samples=num_samples)
    try:
        with draft.open("w", encoding="utf-8") as file:
            for groups in chunks(feedback.read(data, skip_bad=skip_bad, skipped=done.skipped), _CHUNK):
                if not done.prompts:
                    sampler.check(groups)
                for answered in sampler.answer(groups, num_samples, sampling):
                    file.write(json.dumps(_row(answered, done, bool(rewards), only_best)) + "\n")
                    done.prompts += 1
        if not done.prompts:
            raise DataError("no prompt found", where=data)
        draft.replace(out)
    finally:
        draft.unlink(missing_ok=True)
    return done


def chunks(groups: Iterable[Group], size: int) -> Iterator[list[Group]]:
    """So many at a time."""
    it = iter(groups)
    while chunk := list(islice(it, size)):
        yield chunk


def _row(answered: Answered, done: Generated, scored: bool, only_best: bool) -> dict[str, Any]:
    group, rewards = answered.group, answered.rewards
    messages = [{"role": m.role, "content": m.content} for m in group.prompt.messages]
    row: dict[str, Any] = {"prompt": messages, **group.columns}
    if not scored:
        return row | {"responses": answered.texts}
    known = [r for r in rewards if not math.isnan(r)]
    if known:
        done.averages.append(sum(known) / len(known))
        done.bests.append(max(known))
    else:
        done.silent += 1
    order = sorted(range(len(rewards)), key=lambda i: math.inf if math.isnan(rewards[i]) else -rewards[i])
    scores = [None if math.isnan(rewards[i]) else rewards[i] for i in order]
    if only_best:
        return row | {"completion": answered.texts[order[0]], "reward": scores[0]}
    return row | {"scores": scores, "responses": [answered.texts[i] for i in order]}


def _shown(interval: Interval) -> str:
    return f"{interval.value:.3f} [{interval.low:.3f}, {interval.high:.3f}]"
