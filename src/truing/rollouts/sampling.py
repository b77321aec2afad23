"""How to sample, and what a sample is. Knows neither torch nor a model."""

from __future__ import annotations

import hashlib
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from truing.errors import RecipeError

__all__ = ["Sample", "Sampling", "ends_with_stop", "sample_seeds"]


@dataclass(frozen=True, slots=True)
class Sampling:
    """How the next token is chosen. Applied in this order: repetition penalty, temperature, top-k, top-p, min-p.

    Errors: RecipeError for a value that cannot mean anything.
    """

    temperature: float = 1.0
    """Logits are divided by it; 0 = greedy, the likeliest token always."""
    top_p: float = 1.0
    """Nucleus: the likeliest tokens that together reach this probability; 1 = off."""
    top_k: int = 0
    """Only the k likeliest; 0 = off."""
    min_p: float = 0.0
    """Only tokens at least this fraction as likely as the likeliest; 0 = off."""
    repetition_penalty: float = 1.0
    """Logits of tokens that prompt or response already hold are divided by it where positive, multiplied where
    negative (CTRL, arXiv:1909.05858); 1 = off."""
    max_new_tokens: int = 256
    """A response that reaches this length is cut and not `finished`."""
    stop: tuple[str, ...] = ()
    """A response ends with the token that completes one of these strings, which it keeps."""
    seed: int | None = None
    """Fixes the samples of each prompt, whatever else is in the call; None = a new one from torch's generator."""

    def __post_init__(self) -> None:
        if isinstance(self.stop, str):
            raise RecipeError(f"stop {self.stop!r} is one string", where="sampling", remedy="Give a list of strings.")
        rules = (
            ("temperature", math.isfinite(self.temperature) and self.temperature >= 0, "at least 0 (0 = greedy)"),
            ("top_p", 0 < self.top_p <= 1, "above 0 and at most 1 (1 = off)"),
            ("top_k", self.top_k >= 0, "at least 0 (0 = off)"),
            ("min_p", 0 <= self.min_p < 1, "at least 0 (0 = off) and below 1"),
            ("repetition_penalty", math.isfinite(self.repetition_penalty) and self.repetition_penalty > 0, "above 0"),
            ("max_new_tokens", self.max_new_tokens >= 1, "at least 1"),
            ("stop", all(self.stop), "made of strings that are not empty"),
        )
        for name, holds, rule in rules:
            if not holds:
                raise RecipeError(f"{name} = {getattr(self, name)!r}", where="sampling", remedy=f"It must be {rule}.")

    @property
    def greedy(self) -> bool:
        """No chance involved."""
        return self.temperature == 0

    @property
    def truncated(self) -> bool:
        """Some tokens cannot be drawn at all."""
        return self.top_p < 1 or self.top_k > 0 or self.min_p > 0


@dataclass(slots=True)
class Sample:
    """One response.

    `logprobs[t]` is the log-probability of `tokens[t]` under the policy at the sampling temperature:
    log_softmax(logits / temperature), at temperature 1 for greedy. It is what the training forward computes, and that
    cannot see the other settings: so it is taken before top-k, top-p, min-p and the repetition penalty. With any of
    these on, tokens come from another distribution than the one whose log-probabilities are returned (a truncated
    token's real chance was higher: the kept ones were scaled up to sum to 1).

    `finished`: it ended by itself, with an end token or a stop string (both kept in `tokens`), not at
    `max_new_tokens`. `rival`: somebody else than the policy sampled it (`rollouts.rivals`), and the log-probabilities
    are under that one.
    """

    tokens: list[int]
    logprobs: list[float]
    finished: bool
    rival: bool = False


def sample_seeds(prompts: Sequence[Sequence[int]], num_samples: int, seed: int) -> list[list[int]]:
    """A 63-bit seed for each [prompt][sample], from the seed, the prompt's tokens and the sample's number alone.

    So a prompt is answered alike alone, in a batch, and in any order. A prompt that comes again in the call goes on
    counting where it left off: its samples are further ones, not the same.
    """
    counts: dict[bytes, int] = {}
    out = []
    for prompt in prompts:
        content = hashlib.blake2b(repr((seed, list(prompt))).encode(), digest_size=16).digest()
        first = counts.get(content, 0)
        counts[content] = first + num_samples
        numbers = (content + k.to_bytes(8, "little") for k in range(first, first + num_samples))
        out.append([int.from_bytes(hashlib.blake2b(n, digest_size=8).digest(), "little") >> 1 for n in numbers])
    return out


def ends_with_stop(tokens: Sequence[int], stop: Sequence[str], decode: Callable[[list[int]], str]) -> bool:
    """Whether the newest token completed a stop string. Asked after every token, so an older one cannot be there.

    Only the tail is decoded: a stop string of n bytes spans at most n tokens, and a few more give the decoder what it
    needs to read the first of them as it stands in the whole (half a character, a space that leads a word).
    """
    longest = max(len(s.encode()) for s in stop)
    text = decode(list(tokens[-(longest + 8) :]))
    return any(s in text for s in stop)
