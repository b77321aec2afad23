"""Sample responses for a file of prompts; with a reward model, best-of-N."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import Any

from truing import feedback
from truing.chat import Chat
from truing.errors import DataError
from truing.group import Group
from truing.models.loading import best_device, load_causal_lm, load_tokenizer
from truing.rewards.model import RewardModel
from truing.rollouts.local import LocalRollouts
from truing.rollouts.sampling import Sampling

__all__ = ["generate"]

_CHUNK = 256


def generate(
    model: str,
    data: str,
    out: Path,
    *,
    num_samples: int,
    sampling: Sampling,
    reward: Path | None = None,
    template: str = "auto",
) -> int:
    """Write one row a prompt: `prompt`, `responses`, and with a reward model `scores`, best first.

    The number of prompts answered. The file appears when it is complete.
    """
    policy: Any = load_causal_lm(model)
    policy.to(best_device())
    chat = Chat(load_tokenizer(model), template)
    rollouts = LocalRollouts(policy, stop_ids=chat.stop_ids, pad_id=chat.pad_id, decode=chat.decode)
    judge = RewardModel(path=str(reward)) if reward else None
    out.parent.mkdir(parents=True, exist_ok=True)
    draft = out.with_name(f".{out.name}.{os.getpid()}")
    number = 0
    try:
        with draft.open("w", encoding="utf-8") as file:
            for groups in _chunks(feedback.read(data)):
                for row in _answered(groups, chat, rollouts, num_samples, sampling, judge):
                    file.write(json.dumps(row, ensure_ascii=False) + "\n")
                    number += 1
        if not number:
            raise DataError("no prompt found", where=data)
        draft.replace(out)
    finally:
        draft.unlink(missing_ok=True)
    return number


def _chunks(groups: Iterator[Group]) -> Iterator[list[Group]]:
    while chunk := list(islice(groups, _CHUNK)):
        yield chunk


def _answered(
    groups: list[Group],
    chat: Chat,
    rollouts: LocalRollouts,
    num_samples: int,
    sampling: Sampling,
    judge: RewardModel | None,
) -> Iterator[dict[str, object]]:
    prompts = []
    for group in groups:
        tokens = chat.prompt(group.prompt)
        assert tokens is not None, "no truncation was asked for"
        prompts.append(tokens)
    for group, samples in zip(groups, rollouts.generate(prompts, num_samples, sampling), strict=True):
        messages = [{"role": m.role, "content": m.content} for m in group.prompt.messages]
        row: dict[str, object] = {"prompt": messages, **group.columns}
        if judge is not None:
            # By text, not by tokens: the reward model may have another tokenizer.
            texts = [chat.decode(s.tokens) for s in samples]
            scores = judge([messages] * len(samples), texts, finished=[s.finished for s in samples])
            order = sorted(range(len(samples)), key=lambda i: -scores[i])
            samples = [samples[i] for i in order]
            row["scores"] = [scores[i] for i in order]
        row["responses"] = [chat.decode(s.tokens) for s in samples]
        yield row
