"""Two sources of batches: `Offline` reads groups from files, `Online` makes them.

Both give the batch of any step on demand, as a function of the step (and, online, of the policy as it is): that is
what lets a run be cut anywhere and continued exactly.
"""

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

import torch

from truing.batch import Batch
from truing.bind import Bound
from truing.chat import Chat
from truing.errors import DataError
from truing.group import Group, Labels, Ranking, Scores
from truing.recipe import RolloutSettings
from truing.rewards.score import Function, Scored, score
from truing.rollouts.sampling import Sample, Sampling
from truing.tree import Branch, Tree

__all__ = ["Experience", "Offline", "Online", "Rollouts", "shuffled", "trees"]


class Experience(Protocol):
    """Where batches come from."""

    @property
    def steps(self) -> int:
        """How many there are."""

    def batch(self, step: int) -> Batch:
        """The batch of step `step`, counted from 0."""


class Rollouts(Protocol):
    """Whoever can sample from the policy: in process, or a server."""

    def generate(self, prompts: Sequence[list[int]], num_samples: int, sampling: Sampling) -> list[list[Sample]]:
        """`num_samples` samples for each prompt."""


def shuffled(size: int, seed: int, epoch: int) -> list[int]:
    """A permutation of range(size) that depends on nothing but its arguments."""
    order = list(range(size))
    random.Random(f"order/{seed}/{epoch}").shuffle(order)
    return order


# ---- offline -------------------------------------------------------------------------------------------------------

_FEEDBACK = {
    "chosen": (Ranking, "pairs"),
    "rejected": (Ranking, "pairs"),
    "strength": (Ranking, "pairs"),
    "margin": (Ranking, "pairs"),
    "ranks": (Ranking, "rankings"),
    "scores": (Scores, "scores"),
    "labels": (Labels, "labels"),
}


def trees(
    groups: Iterable[tuple[str, Group]], chat: Chat, reads: Iterable[str], counts: Counter[str] | None = None
) -> list[Tree]:
    """Groups, each with its place (`file:line`), as token trees with the feedback that the streams in `reads` need.

    Left out, and counted in `counts`: groups that the truncation policy drops, that have no token to train on, or
    whose ranking says nothing (all tied). `DataError` where the feedback itself is of another kind.
    """
    reads, counts = set(reads), Counter() if counts is None else counts
    made = []
    for where, group in groups:
        feedback = _feedback(group, reads, where)
        if "chosen" in reads and not feedback["pairs"]:
            counts["groups without a preference (ties)"] += 1
            continue
        tree = chat.group(group)
        if tree is None:
            counts["groups dropped as too long"] += 1
        elif not any(any(b.mask) for b in tree.branches):
            counts["groups without a token to train on"] += 1
        else:
            tree.feedback.update(feedback)
            made.append(tree)
    return made


def _feedback(group: Group, reads: set[str], where: str) -> dict[str, Any]:
    if not group.responses:
        raise DataError(
            "this row has a prompt and no response, and training from files needs responses",
            where=where,
            remedy="Give a file with responses, or use a recipe that samples them (truing recipes).",
        )
    for stream in sorted(reads & set(_FEEDBACK)):
        kind, called = _FEEDBACK[stream]
        if not group.said(kind):
            has = ", ".join(sorted({type(f).__name__.lower() for f in group.feedback})) or "no feedback"
            raise DataError(
                f"an objective of this recipe reads `{stream}`, which needs {called}; this row has {has}",
                where=where,
                remedy=f"Use a recipe for what the file has, or `truing feedback convert --to {called}`.",
            )
    said: dict[str, Any] = {}
    for ranking in group.said(Ranking)[:1]:
        pairs = ranking.pairs()
        said["pairs"] = pairs
        said["strength"] = [1.0 if ranking.strength is None else ranking.strength] * len(pairs)
        said["margin"] = [ranking.margin or 0.0] * len(pairs)
        said["ranks"] = [r or 0 for r in ranking.ranks]
        beaten = {worse for _, worse in pairs}
        said["demonstrations"] = [r is not None and i not in beaten for i, r in enumerate(ranking.ranks)]
    for scores in group.said(Scores)[:1]:
        rows = [[v for v in row if v is not None] for row in zip(*scores.values.values(), strict=True)]
        said["scores"] = [sum(row) / len(row) if row else float("nan") for row in rows]
    for labels in group.said(Labels)[:1]:
        said["labels"] = [-1 if v is None else int(v) for v in labels.values]
        said["demonstrations"] = [v is not False for v in labels.values]
    return said


@dataclass(frozen=True)
class Offline:
    """Batches of `batch_size` trees from a list, shuffled anew in each epoch."""

    trees: list[Tree]
    batch_size: int
    epochs: int
    seed: int
    limit: int | None = None

    @property
    def per_epoch(self) -> int:
        return -(-len(self.trees) // self.batch_size)

    @property
    def steps(self) -> int:
        whole = self.per_epoch * self.epochs
        return whole if self.limit is None else min(whole, self.limit)

    def batch(self, step: int) -> Batch:
        epoch, index = divmod(step, self.per_epoch)
        order = shuffled(len(self.trees), self.seed, epoch)
        first = index * self.batch_size
        chosen = [self.trees[i] for i in order[first : first + self.batch_size]]
        return Batch(chosen, metrics={"epoch": (step + 1) / self.per_epoch})


# ---- online --------------------------------------------------------------------------------------------------------


@dataclass
class Online:
    """Prompts -> samples of the policy -> rewards -> advantages -> trees.

    The seed of a step's samples depends on the run's seed and the step alone.
    """

    prompts: list[Group]
    chat: Chat
    rollouts: Rollouts
    rewards: Sequence[Function]
    advantage: Bound | None
    settings: RolloutSettings
    seed: int
    num_steps: int
    """The number of batches. Each prompt may come back in a later epoch."""

    def __post_init__(self) -> None:
        encoded = [(group, self.chat.prompt(group.prompt)) for group in self.prompts]
        self._encoded = [(group, tokens) for group, tokens in encoded if tokens is not None]
        if not self._encoded:
            raise DataError("no prompt is left", remedy="Raise data.max_prompt_tokens, or give more prompts.")

    @property
    def steps(self) -> int:
        return self.num_steps

    def batch(self, step: int) -> Batch:
        chosen = [self._encoded[i] for i in self._indices(step)]
        sampling = Sampling(
            temperature=self.settings.temperature,
            top_p=self.settings.top_p,
            top_k=self.settings.top_k,
            max_new_tokens=self.settings.max_new_tokens,
            stop=self.chat.stop_strings,
            seed=random.Random(f"samples/{self.seed}/{step}").getrandbits(62),
        )
        samples = self.rollouts.generate([tokens for _, tokens in chosen], self.settings.group_size, sampling)
        texts = [[self.chat.decode(s.tokens) for s in row] for row in samples]
        groups = [group for group, _ in chosen]
        scored = score(
            self.rewards,
            groups,
            [tokens for _, tokens in chosen],
            samples,
            texts,
            missing_end_penalty=self.settings.missing_end_penalty,
        )
        batch = [
            Tree(tokens, [_branch(s, reward) for s, reward in zip(row, rewards, strict=True)])
            for (_, tokens), row, rewards in zip(chosen, samples, scored.totals, strict=True)
        ]
        self._give_advantages(batch, scored)
        metrics = {**scored.metrics(), **_completions(samples)}
        rows = [
            {"prompt": group.prompt.text, "completion": text, "reward": reward}
            for group, row, rewards in list(zip(groups, texts, scored.totals, strict=True))[:2]
            for text, reward in list(zip(row, rewards, strict=True))[:2]
        ]
        return Batch(batch, policy_version=step, metrics=metrics, samples=rows)

    def _indices(self, step: int) -> list[int]:
        """Prompts in order of one shuffled epoch after another."""
        size, wanted = len(self._encoded), self.settings.prompts_per_step
        first = step * wanted
        epochs = {n // size for n in range(first, first + wanted)}
        orders: Mapping[int, list[int]] = {epoch: shuffled(size, self.seed, epoch) for epoch in epochs}
        return [orders[n // size][n % size] for n in range(first, first + wanted)]

    def _give_advantages(self, batch: list[Tree], scored: Scored) -> None:
        rewards = torch.tensor([r for row in scored.totals for r in row], dtype=torch.float32)
        groups = torch.tensor([g for g, row in enumerate(scored.totals) for _ in row])
        if self.advantage is None:
            values = rewards.nan_to_num(0.0)
        else:
            values = self.advantage.call({"rewards": rewards, "groups": groups})
        row = iter(values.tolist())
        for tree in batch:
            tree.feedback["advantages"] = [[next(row)] * len(branch.tokens) for branch in tree.branches]


def _branch(sample: Sample, reward: float) -> Branch:
    counts = reward == reward  # a response that no reward speaks of (NaN) is not trained on
    return Branch(sample.tokens, [counts] * len(sample.tokens), sample.logprobs, sample.finished)


def _completions(samples: Sequence[Sequence[Sample]]) -> dict[str, float]:
    flat = [s for row in samples for s in row]
    lengths = [len(s.tokens) for s in flat]
    return {
        "completions/mean_length": sum(lengths) / len(flat),
        "completions/max_length": float(max(lengths)),
        "completions/clipped_ratio": sum(not s.finished for s in flat) / len(flat),
    }
