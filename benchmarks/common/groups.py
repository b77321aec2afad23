"""Prompts and responses with the lengths of real ones: hh-rlhf's, prompts of about 150 tokens, responses of about 120.

A demonstration is a group of one response, a pair of two, a ranking of K; a conversation goes on after its response.
"""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

__all__ = ["Conversation", "Group", "Lengths", "Shape", "lengths", "make_groups", "sorted_batches"]


@dataclass(frozen=True, slots=True)
class Shape:
    """What groups look like: K responses, and the mean of log-normal lengths.

    `spread` multiplies the spread of real lengths: at 0 all are equally long. Nothing is longer than `longest`. With
    `turns` above 1 there is one response, and after it up to so many turns in all, each as long as the first.
    """

    responses: int
    prompt: float = 150
    response: float = 120
    spread: float = 1.0
    longest: int = 511
    turns: int = 1


@dataclass(frozen=True, slots=True)
class Group:
    """Tokens; the responses without their end-of-sequence token."""

    prompt: list[int]
    responses: list[list[int]]

    @property
    def response_tokens(self) -> list[int]:
        """Of each response, the end-of-sequence token included: it is trained on."""
        return [len(response) + 1 for response in self.responses]

    @property
    def trained(self) -> int:
        """How many tokens are trained on."""
        return sum(self.response_tokens)

    @property
    def longest(self) -> int:
        """The longest prompt + response: what others pad to."""
        return len(self.prompt) + max(self.response_tokens)


@dataclass(frozen=True, slots=True)
class Conversation(Group):
    """One response, and what was asked and answered after it: the answers are trained on, the questions are not."""

    more: list[tuple[list[int], list[int]]]

    @property
    def response_tokens(self) -> list[int]:
        """All that follows the prompt is one response."""
        return [self.trained + sum(len(asked) for asked, _ in self.more)]

    @property
    def trained(self) -> int:
        return sum(len(answer) + 1 for answer in (*self.responses, *(answer for _, answer in self.more)))


@dataclass(frozen=True, slots=True)
class Lengths:
    """Sums over groups; `prompt` and `response` are means.

    `once` counts the prompt once, `useful` once per response (as the peer has it); `seen` and `copied` are the (query,
    key) pairs of causal attention of the one and of the other.
    """

    groups: int
    prompt: float
    response: float
    once: int
    useful: int
    trained: int
    seen: int
    copied: int


def make_groups(number: int, vocabulary: int, seed: int, shape: Shape) -> list[Group]:
    """The responses of a group are about equally long (correlation 0.5)."""
    drawn = random.Random(f"pairs/{seed}")

    def length(mean: float, spread: float, normal: float, least: int) -> int:
        spread *= shape.spread
        drawn_length = math.exp(math.log(mean) - spread**2 / 2 + spread * normal)
        return int(min(shape.longest, max(least, drawn_length + 1e-9)))  # exp(log(150)) is a little below 150

    def tokens(size: int) -> list[int]:
        # cubed: some words are frequent, most are rare
        return [3 + int((vocabulary - 3) * drawn.random() ** 3) for _ in range(size)]

    groups: list[Group] = []
    for _ in range(number):
        prompt_size = length(shape.prompt, 0.7, drawn.gauss(0, 1), 8)
        common = drawn.gauss(0, 1)
        each = [math.sqrt(0.5) * (common + drawn.gauss(0, 1)) for _ in range(shape.responses)]
        sizes = [length(shape.response, 0.8, normal, 4) for normal in each]
        group = Group(tokens(prompt_size), [tokens(size) for size in sizes])
        if shape.turns > 1:
            assert shape.responses == 1, "a conversation goes one way"
            more = [
                (
                    tokens(length(shape.prompt, 0.7, drawn.gauss(0, 1), 8)),
                    tokens(length(shape.response, 0.8, drawn.gauss(0, 1), 4)),
                )
                for _ in range(drawn.randrange(shape.turns))
            ]
            group = Conversation(group.prompt, group.responses, more)
        groups.append(group)
    return groups


def sorted_batches(groups: Sequence[Group], batch: int, seed: int) -> list[Group]:
    """The same groups, in one batch those of similar length, batches in random order: least padding for the peer."""
    ordered = sorted(groups, key=lambda group: group.longest)
    batches = [ordered[i : i + batch] for i in range(0, len(ordered), batch)]
    random.Random(f"batches/{seed}").shuffle(batches)
    return [group for each in batches for group in each]


def lengths(groups: Sequence[Group]) -> Lengths:
    """What a list of groups adds up to."""
    prompts = [len(group.prompt) for group in groups]
    responses = [n for group in groups for n in group.response_tokens]
    seen = copied = 0
    for group in groups:
        p, rs = len(group.prompt), group.response_tokens
        alone, suffixes = p * (p + 1) // 2, sum(p * r + r * (r + 1) // 2 for r in rs)
        seen += alone + suffixes
        copied += alone * len(rs) + suffixes
    return Lengths(
        groups=len(groups),
        prompt=fmean(prompts),
        response=fmean(responses),
        once=sum(prompts) + sum(responses),
        useful=sum(len(group.prompt) * len(group.responses) for group in groups) + sum(responses),
        trained=sum(group.trained for group in groups),
        seen=seen,
        copied=copied,
    )
