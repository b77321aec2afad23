"""Prompts with their samples and rewards: what a step of online training begins with."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from truing.group import Group
from truing.rewards.score import Scored
from truing.rollouts.sampling import Sample

__all__ = ["Drawn"]


@dataclass
class Drawn:
    """Prompts with their samples and rewards."""

    groups: list[Group]
    prompts: list[list[int]]
    samples: list[list[Sample]]
    texts: list[list[str]]
    scored: Scored

    def only(self, kept: Sequence[int]) -> Drawn:
        groups, prompts, samples, texts = ([one[i] for i in kept] for one in self._lists())
        return Drawn(groups, prompts, samples, texts, self.scored.only(kept))

    def __add__(self, other: Drawn) -> Drawn:
        both = zip(self._lists(), other._lists(), strict=True)
        groups, prompts, samples, texts = ([*one, *two] for one, two in both)
        return Drawn(groups, prompts, samples, texts, self.scored + other.scored)

    def _lists(self) -> tuple[list[Any], ...]:
        return self.groups, self.prompts, self.samples, self.texts
