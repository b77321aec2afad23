"""Answers to judge, sampled on the spot; and a model to talk to. The only place of the studio that imports torch.

Several models make blind battles: which of them wrote what is in the item's column `models`, which goes into exports
and to no annotator.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

from truing import feedback
from truing.errors import UserError
from truing.group import Group, Message, Prompt, Response
from truing.studio import kinds
from truing.studio.web.guard import Talk

if TYPE_CHECKING:
    from truing.rollouts.sampling import Sampling
    from truing.sampler import Sampler

__all__ = ["generated", "needed", "talk_to"]

_CHUNK = 64


def needed(kind: str, num_models: int) -> int:
    """Samples of each model where nothing else is said: what the smallest item of the kind takes."""
    smallest = max(kinds.get(kind).min_responses, 1)
    return -(-smallest // num_models)


def generated(data: str, kind: str, models: Sequence[str], num_samples: int, sampling: Sampling) -> Iterator[Group]:
    """The prompts of a file with samples as responses. Equal responses are kept once.

    For a ranking all of them together; for pairs two and two, of different models where there are several; for the
    others one and one.
    """
    from truing.generate import chunks
    from truing.sampler import Sampler

    size = {"pair": 2, "ranking": len(models) * num_samples}.get(kind, 1)
    if kind == "red_team":
        raise UserError("a red-team conversation has no samples", remedy="Leave --samples out.")
    if len(models) * num_samples < kinds.get(kind).min_responses:
        raise UserError(
            f"--samples {num_samples} of {len(models)} model(s), and kind `{kind}` compares at least "
            f"{kinds.get(kind).min_responses}",
            remedy="Ask for more samples, or name another --model.",
        )
    samplers = [Sampler(model) for model in models]
    for groups in chunks(feedback.read(data), _CHUNK):
        asked = groups
        for sampler in samplers:
            asked = sampler.asked(asked)
        answers = [sampler.answer(asked, num_samples, sampling) for sampler in samplers]
        for i, group in enumerate(asked):
            said = [(models[m], answers[m][i].texts[s]) for s in range(num_samples) for m in range(len(models))]
            yield from _items(group, said, size)


def _items(group: Group, said: Sequence[tuple[str, str]], size: int) -> Iterator[Group]:
    once = {text: model for model, text in reversed(said) if text.strip()}
    kept = [(model, text) for model, text in said if once.pop(text, None) is not None]
    for start in range(0, len(kept), size):
        chosen = kept[start : start + size]
        # What is left over is too little to compare. A ranking may be shorter.
        if len(chosen) < min(size, 2):
            continue
        columns = {**group.columns, "models": [model for model, _ in chosen]}
        responses = tuple(Response.of(text) for _, text in chosen)
        yield replace(group, responses=responses, feedback=(), columns=columns)


def talk_to(model: str, sampling: Sampling) -> Talk:
    """A model to talk to; one at a time, since it has one memory."""
    from truing.sampler import Sampler

    sampler: Sampler = Sampler(model)
    turn = threading.Lock()

    def talk(turns: Sequence[Message]) -> str:
        group = Group(Prompt(tuple(turns)))
        with turn:
            if not sampler.asked([group]):
                raise UserError("the conversation is longer than the model can read", remedy="Rate it, or begin anew.")
            return sampler.answer([group], 1, sampling)[0].texts[0]

    return talk
