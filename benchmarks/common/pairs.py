"""Preference pairs with the lengths of real ones: hh-rlhf's, prompts of about 150 tokens, responses of about 120."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import fmean

from common.models import text

__all__ = ["Lengths", "Pair", "as_row", "lengths", "make_pairs", "sorted_batches"]


@dataclass(frozen=True, slots=True)
class Pair:
    """Tokens; the two responses without their end-of-sequence token."""

    prompt: list[int]
    chosen: list[int]
    rejected: list[int]

    @property
    def prompt_tokens(self) -> int:
        return len(self.prompt)

    @property
    def response_tokens(self) -> tuple[int, int]:
        """Of each response, the end-of-sequence token included: it is trained on."""
        return len(self.chosen) + 1, len(self.rejected) + 1


@dataclass(frozen=True, slots=True)
class Lengths:
    """Sums over pairs.

    `once` counts the prompt once, `useful` once per response (as the peer has it), `seen` the (query, key) pairs of
    causal attention with the prompt once.
    """

    pairs: int
    prompt: float
    response: float
    once: int
    useful: int
    trained: int
    seen: float


def make_pairs(
    number: int, vocabulary: int, seed: int, *, prompt: float = 150, response: float = 120, longest: int = 511
) -> list[Pair]:
    """Log-normal lengths with these means; the two responses of a pair are about equally long (correlation 0.5)."""
    drawn = random.Random(f"pairs/{seed}")

    def length(mean: float, spread: float, normal: float, least: int) -> int:
        return int(min(longest, max(least, math.exp(math.log(mean) - spread**2 / 2 + spread * normal))))

    def tokens(size: int) -> list[int]:
        # cubed: some words are frequent, most are rare
        return [3 + int((vocabulary - 3) * drawn.random() ** 3) for _ in range(size)]

    pairs = []
    for _ in range(number):
        prompt_size = length(prompt, 0.7, drawn.gauss(0, 1), 8)
        common = drawn.gauss(0, 1)
        sizes = [length(response, 0.8, math.sqrt(0.5) * (common + drawn.gauss(0, 1)), 4) for _ in range(2)]
        pairs.append(Pair(tokens(prompt_size), tokens(sizes[0]), tokens(sizes[1])))
    return pairs


def sorted_batches(pairs: Sequence[Pair], batch: int, seed: int) -> list[Pair]:
    """The same pairs with those of similar length in one batch, batches in random order: least padding for the peer."""
    ordered = sorted(pairs, key=lambda p: p.prompt_tokens + max(p.response_tokens))
    batches = [ordered[i : i + batch] for i in range(0, len(ordered), batch)]
    random.Random(f"batches/{seed}").shuffle(batches)
    return [pair for each in batches for pair in each]


def lengths(pairs: Sequence[Pair]) -> Lengths:
    """What a list of pairs adds up to."""
    prompts = [p.prompt_tokens for p in pairs]
    responses = [n for p in pairs for n in p.response_tokens]
    trained = sum(responses)
    seen = 0.0
    for pair in pairs:
        p, rs = pair.prompt_tokens, pair.response_tokens
        seen += p * (p + 1) / 2 + sum(p * r + r * (r + 1) / 2 for r in rs)
    return Lengths(
        pairs=len(pairs),
        prompt=fmean(prompts),
        response=fmean(responses),
        once=sum(prompts) + trained,
        useful=2 * sum(prompts) + trained,
        trained=trained,
        seen=seen,
    )


def as_row(pair: Pair) -> dict[str, str]:
    """A row of a TRL preference file. The space after the prompt keeps its last word apart from the next one."""
    return {"prompt": text(pair.prompt) + " ", "chosen": text(pair.chosen), "rejected": text(pair.rejected)}
