"""A model's answers to the requests of the embedded world, and how far it has moved from another model."""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from truing import lab
from truing.chat import Chat
from truing.group import Group
from truing.models.loading import best_device, load_causal_lm, load_tokenizer
from truing.models.policy import Policy
from truing.rollouts.local import LocalRollouts
from truing.rollouts.sampling import Sample, Sampling
from truing.tree import Branch, Tree, budgeted, pack

__all__ = ["Judged", "Speaker", "judged", "kl"]

MAX_NEW_TOKENS = 48
_CHUNK = 128
_TOKENS = 8192


class Speaker:
    """A model that answers."""

    def __init__(self, folder: Path) -> None:
        model: Any = load_causal_lm(folder)
        self.policy = Policy(model.to(best_device()))
        self.chat = Chat(load_tokenizer(folder))
        self._rollouts = LocalRollouts(
            self.policy.model, stop_ids=self.chat.stop_ids, pad_id=self.chat.pad_id, decode=self.chat.decode
        )

    def answer(
        self,
        groups: Sequence[Group],
        num_samples: int,
        *,
        temperature: float,
        seed: int,
        watch: Callable[[int], None] = lambda done: None,
    ) -> list[list[Sample]]:
        """`num_samples` answers to each prompt; `watch` hears how many prompts are done."""
        out: list[list[Sample]] = []
        for first in range(0, len(groups), _CHUNK):
            sampling = Sampling(temperature=temperature, max_new_tokens=MAX_NEW_TOKENS, seed=seed + first)
            prompts = [self.prompt(group) for group in groups[first : first + _CHUNK]]
            out += self._rollouts.generate(prompts, num_samples, sampling)
            watch(len(out))
        return out

    def prompt(self, group: Group) -> list[int]:
        tokens = self.chat.prompt(group.prompt)
        assert tokens is not None, "requests of the embedded world are short"
        return tokens

    def text(self, sample: Sample) -> str:
        return self.chat.decode(sample.tokens)

    def logprobs(self, groups: Sequence[Group], samples: Sequence[Sample]) -> list[float]:
        """Σ log π(token) of each sample under this model."""
        trees = [
            Tree(self.prompt(group), [Branch(s.tokens, [True] * len(s.tokens))])
            for group, s in zip(groups, samples, strict=True)
        ]
        out = [0.0] * len(trees)
        with torch.no_grad():
            for indices in budgeted(trees, _TOKENS):
                packed = pack([trees[i] for i in indices]).to(self.policy.device)
                sums = self.policy.streams(packed, {"logprobs"}, {})["logprobs"].sum(1).tolist()
                for i, value in zip(indices, sums, strict=True):
                    out[i] = value
        return out


@dataclass(frozen=True, slots=True)
class Judged:
    """One answer to each held-out prompt, and what the hidden judge says of it."""

    groups: list[Group]
    samples: list[Sample]
    texts: list[str]
    utilities: list[float]

    @property
    def words(self) -> float:
        return statistics.fmean(len(text.split()) for text in self.texts)


def judged(speaker: Speaker, num_prompts: int) -> Judged:
    """Answers to the first held-out prompts at temperature 1, with one seed whoever speaks."""
    groups = lab.prompts("test", num_prompts, seed=0)
    samples = [row[0] for row in speaker.answer(groups, 1, temperature=1.0, seed=7)]
    texts = [speaker.text(s) for s in samples]
    rows = zip(groups, texts, samples, strict=True)
    return Judged(groups, samples, texts, [lab.utility(lab.request_of(g), text, s.finished) for g, text, s in rows])


def kl(speaker: Speaker, other: Speaker, groups: Sequence[Group], samples: Sequence[Sample]) -> list[float]:
    """log π − log π_other of each sample, drawn from π at temperature 1: its mean is an unbiased estimate of
    KL(π, π_other) per response, in nats."""
    theirs = other.logprobs(groups, samples)
    ours = speaker.logprobs(groups, samples)
    return [a - b for a, b in zip(ours, theirs, strict=True)]
