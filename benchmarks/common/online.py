"""What online training is compared on: prompts, a model that ends by chance, a reward that costs nothing."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean, variance
from typing import Any

from common.groups import Group, Shape, make_groups
from common.limit import forward
from common.models import EOS, Size, text

__all__ = ["Drawn", "generation", "make_end_likely", "make_prompts", "of_step", "question", "same_lengths", "sums",
           "training"]  # fmt: skip

Lengths = Sequence[tuple[int, Sequence[int]]]
"""Of one step: tokens of each prompt and of each of its responses."""


def make_prompts(number: int, vocabulary: int, seed: int) -> list[Group]:
    """Log-normal lengths around 150 tokens, as hh-rlhf has them; no responses."""
    return make_groups(number, vocabulary, seed, Shape(responses=0))


def question(group: Group) -> dict[str, str]:
    """A row that asks. The space at the end keeps the last word apart from the response."""
    return {"prompt": text(group.prompt) + " "}


def make_end_likely(folder: Path, mean: float) -> None:
    """Change the model in `folder` so that each of its tokens ends the response with a chance of about 1 / mean.

    Every token's embedding gets the same large number in one place, so that this place of the last hidden state hardly
    depends on the tokens; more of it in the end token's row of the (tied) head makes the end likelier. The shape, and
    so the cost, stays what it was.
    """
    import torch
    from transformers import AutoModelForCausalLM

    from truing.models.loading import quiet

    with quiet():
        model: Any = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)
    weight = model.get_input_embeddings().weight
    probe = torch.randint(3, weight.shape[0], (4, 256), generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        weight[:, 0] = 1.0
        hidden = model.get_decoder()(input_ids=probe).last_hidden_state.flatten(0, 1)
        for _ in range(5):
            chance = (hidden @ weight.t()).softmax(1)[:, EOS].mean()
            weight[EOS, 0] -= (chance * mean).log() / hidden[:, 0].mean()
    with quiet():
        model.save_pretrained(folder)


def sums(prompts: Sequence[Any], completions: Sequence[Any], completion_ids: Sequence[Sequence[int]]) -> list[float]:
    """The reward: known at once, different for different responses, nothing that can be learnt in a few steps."""
    return [sum(ids) % 97 / 97 for ids in completion_ids]


# ---- what a step had to do -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Drawn:
    """Sums over the groups of a step. `once` counts a prompt once, `useful` once per response, as the peer has it."""

    prompts: int
    responses: int
    prompt: int
    response: int
    useful: int
    seen: float
    """(query, key) pairs of causal attention, the prompt once."""

    @property
    def once(self) -> int:
        return self.prompt + self.response


def of_step(lengths: Lengths) -> Drawn:
    """What the lengths of one step add up to."""
    # Nobody needs the hidden state of a last token: the response is over.
    seen = sum(p * (p + 1) / 2 + sum(p * (r - 1) + r * (r - 1) / 2 for r in rs) for p, rs in lengths)
    return Drawn(
        prompts=len(lengths),
        responses=sum(len(rs) for _, rs in lengths),
        prompt=sum(p for p, _ in lengths),
        response=sum(sum(rs) for _, rs in lengths),
        useful=sum(len(rs) * p + sum(rs) for p, rs in lengths),
        seen=seen,
    )


def generation(size: Size, drawn: Drawn) -> float:
    """Floating-point operations of sampling: each prompt once, then each token but the last; the vocabulary once for
    the first tokens of a group and once for every other token."""
    followed = drawn.response - drawn.responses
    return forward(size, drawn.prompt + followed, drawn.prompts + followed, drawn.seen)


def training(size: Size, drawn: Drawn, *, forwards: float) -> float:
    """Of what comes after: `forwards` forward passes, a backward pass counting as two."""
    return forwards * forward(size, drawn.once - drawn.responses, drawn.response, drawn.seen)


def same_lengths(ours: Sequence[int], theirs: Sequence[int]) -> float:
    """How many standard errors the mean lengths of two sides are apart."""
    error = math.sqrt(variance(ours) / len(ours) + variance(theirs) / len(theirs))
    return abs(fmean(ours) - fmean(theirs)) / error if error else 0.0
