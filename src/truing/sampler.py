"""A model with a chat template and rewards: prompts in, scored answers out. For whoever samples outside training."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Literal

from truing.bind import Bound
from truing.chat import Chat, Truncation
from truing.group import Group, Response, Scores
from truing.models.loading import best_device, load_causal_lm, load_tokenizer
from truing.models.policy import Policy
from truing.recipe import CombinationSettings
from truing.rewards.score import check_columns, score
from truing.rollouts.local import LocalRollouts
from truing.rollouts.sampling import Sample, Sampling
from truing.tree import Branch, Tree

__all__ = ["Answered", "Sampler", "logprobs"]

_TOKENS = 8192


@dataclass(frozen=True, slots=True)
class Answered:
    """A prompt, its samples, and what each is worth; NaN where no reward spoke of one, or there is none."""

    group: Group
    prompt: list[int]
    samples: list[Sample]
    texts: list[str]
    rewards: list[float]
    parts: dict[str, list[float]]
    """By reward, before weights."""

    @property
    def scored(self) -> Group:
        """The samples as responses with their scores: aspect `overall`, and each reward's own where there are
        several."""
        values = {"overall": self.rewards} | (self.parts if len(self.parts) > 1 else {})
        said = Scores({name: tuple(None if math.isnan(v) else v for v in row) for name, row in values.items()})
        return replace(self.group, responses=tuple(map(Response.of, self.texts)), feedback=(said,))

    def tree(self) -> Tree:
        """Prompt and samples as tokens, exactly those that were sampled."""
        return Tree(self.prompt, [Branch(s.tokens, [True] * len(s.tokens)) for s in self.samples])


class Sampler:
    """Answers prompts with a model, and asks the rewards."""

    def __init__(
        self,
        model: str | Path,
        rewards: Sequence[Bound] = (),
        *,
        template: str = "auto",
        max_prompt_tokens: int | None = None,
        truncation: str = "keep_end",
        dtype: Literal["float32", "bfloat16"] = "float32",
        combination: CombinationSettings | None = None,
        missing_end_penalty: float = 0.0,
    ) -> None:
        policy: Any = load_causal_lm(model, dtype=dtype)
        policy.to(best_device())
        self.chat = Chat(
            load_tokenizer(model), template, max_prompt_tokens=max_prompt_tokens, truncation=Truncation(truncation)
        )
        chat = self.chat
        self._rollouts = LocalRollouts(policy, stop_ids=chat.stop_ids, pad_id=chat.pad_id, decode=chat.decode)
        self._rewards = rewards
        # A reward model is loaded here, once.
        self._functions = [(bound.name, bound.weight, bound.function) for bound in rewards]
        self._combination, self._missing_end_penalty = combination, missing_end_penalty

    def check(self, groups: Sequence[Group]) -> None:
        """`DataError` where a reward needs a column that none of these has."""
        for bound in self._rewards:
            check_columns(bound.name, bound.entry.function, groups)

    def asked(self, groups: Sequence[Group]) -> list[Group]:
        """The groups whose prompts fit."""
        return [group for group in groups if self.chat.prompt(group.prompt) is not None]

    def answer(self, groups: Sequence[Group], num_samples: int, sampling: Sampling) -> list[Answered]:
        """`num_samples` answers to each, in the same order; all of them have to fit."""
        prompts = []
        for group in groups:
            tokens = self.chat.prompt(group.prompt)
            assert tokens is not None, "only what `asked` let pass"
            prompts.append(tokens)
        samples = self._rollouts.generate(prompts, num_samples, replace(sampling, stop=self.chat.stop_strings))
        texts = [[self.chat.decode(s.tokens) for s in row] for row in samples]
        if not self._functions:
            silent = [math.nan] * num_samples
            each = zip(groups, prompts, samples, texts, strict=True)
            return [Answered(group, tokens, row, said, silent, {}) for group, tokens, row, said in each]
        scored = score(
            self._functions,
            groups,
            prompts,
            samples,
            texts,
            missing_end_penalty=self._missing_end_penalty,
            combination=self._combination,
        )
        return [
            Answered(group, tokens, row, said, scored.totals[i], {name: rows[i] for name, rows in scored.parts.items()})
            for i, (group, tokens, row, said) in enumerate(zip(groups, prompts, samples, texts, strict=True))
        ]


def logprobs(
    model: str | Path,
    answered: Sequence[Answered],
    *,
    temperature: float = 1.0,
    dtype: Literal["float32", "bfloat16"] = "float32",
) -> list[list[float]]:
    """Σ log π(token) of each sample under another model, at this temperature: [prompt][sample]."""
    loaded: Any = load_causal_lm(model, dtype=dtype)
    policy = Policy(loaded.to(best_device()), temperature=temperature)
    rows = policy.assess([each.tree() for each in answered], {"logprobs"}, _TOKENS)["logprobs"]
    return [[math.fsum(branch) for branch in row] for row in rows]
