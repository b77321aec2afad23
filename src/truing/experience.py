"""Two sources of batches: `Offline` reads groups from files, `Online` makes them.

Both give the batch of any step on demand, as a function of the step (and, online, of the policy as it is): that is
what lets a run be cut anywhere and continued exactly.
"""

from __future__ import annotations

import math
import random
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Protocol

import torch

from truing.batch import Batch
from truing.bind import Bound
from truing.chat import Chat
from truing.errors import DataError
from truing.feedback.convert import KINDS, Options
from truing.group import Group, Labels, Ranking, Scores, StepLabels
from truing.recipe import CombinationSettings, RolloutSettings
from truing.rewards.score import Function, Scored, score
from truing.rollouts.sampling import Sample, Sampling
from truing.tree import Branch, Tree

__all__ = ["FEEDBACK", "Experience", "Offline", "Online", "Rollouts", "shuffled", "trees"]


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

FEEDBACK = {
    "chosen": (Ranking, "pairs"),
    "rejected": (Ranking, "pairs"),
    "strength": (Ranking, "pairs"),
    "margin": (Ranking, "pairs"),
    "ranks": (Ranking, "rankings"),
    "scores": (Scores, "scores"),
    "labels": (Labels, "labels"),
    "step_labels": (StepLabels, "step labels"),
}
"""The kind of feedback that a stream is read off, and what people call it."""


def trees(
    groups: Iterable[tuple[str, Group]], chat: Chat, reads: Iterable[str], counts: Counter[str] | None = None
) -> list[Tree]:
    """Groups, each with its place (`file:line`), as token trees with the feedback that the streams in `reads` need.

    Left out, and counted in `counts`: groups that the truncation policy drops, that have no token to train on, or
    whose feedback says nothing (all tied, no step judged). `DataError` where the feedback itself is of another kind.
    """
    reads, counts = set(reads), Counter() if counts is None else counts
    made = []
    for where, group in groups:
        feedback = _feedback(group, reads, where)
        silent = _says_nothing(feedback, reads)
        if silent:
            counts[silent] += 1
            continue
        tree = chat.group(group)
        if tree is None:
            counts["groups dropped as too long"] += 1
        elif not any(any(b.mask) for b in tree.branches):
            counts["groups without a token to train on"] += 1
        else:
            if "step_labels" in reads:
                feedback["step_labels"] = _step_labels(group, tree, chat, where)
                if all(math.isnan(v) for row in feedback["step_labels"] for v in row):
                    counts["groups without a judged step"] += 1
                    continue
            tree.feedback.update(feedback)
            made.append(tree)
    return made


def _says_nothing(feedback: Mapping[str, Any], reads: set[str]) -> str | None:
    """Why no objective would learn from this feedback; None where one may."""
    if "chosen" in reads and not feedback["pairs"]:
        return "groups without a preference (ties)"
    if "labels" in reads and all(v < 0 for v in feedback["labels"]):
        return "groups without a label"
    # Ranks, and scores that are read together with the groups, are compared within a group.
    if "ranks" in reads and sum(v > 0 for v in feedback["ranks"]) < 2:
        return "groups without two ranked responses"
    if "scores" in reads:
        given = sum(not math.isnan(v) for v in feedback["scores"])
        if given < (2 if "groups" in reads else 1):
            return "groups without two scores to compare" if "groups" in reads else "groups without a score"
    if "demonstrations" in reads and not reads & set(FEEDBACK) and not any(feedback.get("demonstrations", [True])):
        return "groups with nothing to imitate"
    return None


def _step_labels(group: Group, tree: Tree, chat: Chat, where: str) -> list[list[float]]:
    """Per response and token: at the last token of a step the probability that it is right, the mean over annotators of
    (mark + 1) / 2; NaN elsewhere."""
    rows = []
    for i, (response, branch) in enumerate(zip(group.responses, tree.branches, strict=True)):
        row = [math.nan] * len(branch.tokens)
        try:
            ends = chat.step_ends(group.prompt, response)
        except DataError as error:
            raise DataError(error.found, where=where, remedy=error.remedy) from error
        said = [labels.values[i] for labels in group.said(StepLabels)]
        for marks in said:
            if marks and len(marks) != len(ends):
                raise DataError(
                    f"response {i + 1} has {len(ends)} steps and {len(marks)} marks on them",
                    where=where,
                    remedy="One mark a step, null for a step that nobody judged.",
                )
        for step, end in enumerate(ends):
            given = [mark for marks in said if marks and (mark := marks[step]) is not None]
            if end is not None and given:
                row[end] = (sum(given) / len(given) + 1) / 2
        rows.append(row)
    return rows


_RECIPES = {
    Ranking: "dpo, plackett_luce, reward",
    Scores: "rebel, reward_scores",
    Labels: "kto, bco, reward_labels",
    StepLabels: "process_reward",
}


def _other_way(group: Group, called: str, reads: set[str]) -> str:
    """What to do with feedback of another kind: recipes that read it, and the conversion if it would work."""
    known = [names for kind, names in _RECIPES.items() if group.said(kind)]
    advice = f"Recipes for what it has: {', '.join(known) or 'sft'}."
    kind = KINDS.get(called)
    if kind is None:  # nothing else that people say tells where an answer goes wrong
        return advice
    alone = len(group.responses) == 1 and bool(group.said(Labels) or group.said(Scores))
    if kind.ordered and alone:
        return f"{advice} Or `truing feedback convert --to {called}`, where several answers to one prompt were judged."
    aspects = [name for said in group.said(Scores)[:1] for name in said.values]
    for option, options in (
        ("", Options()),
        (" --threshold NUMBER", Options(threshold=0.0)),
        *((f" --aspect {name}", Options(aspect=name)) for name in aspects),
        *((f" --aspect {name} --threshold NUMBER", Options(aspect=name, threshold=0.0)) for name in aspects),
    ):
        try:
            made = kind.make(group, options)
        except DataError:
            continue
        if any(_has_all(each, reads) and _says_nothing(_read(each), reads) is None for each in made):
            return f"{advice} Or `truing feedback convert --to {called}{option}`."
    return advice


def _feedback(group: Group, reads: set[str], where: str) -> dict[str, Any]:
    if not group.responses:
        raise DataError(
            "this row has a prompt and no response, and training from files needs responses",
            where=where,
            remedy="Give a file with responses, or use a recipe that samples them (truing recipes).",
        )
    for stream in sorted(reads & FEEDBACK.keys()):
        kind, called = FEEDBACK[stream]
        if not group.said(kind):
            has = ", ".join(sorted({type(f).__name__.lower() for f in group.feedback})) or "no feedback"
            raise DataError(
                f"an objective of this recipe reads `{stream}`, which needs {called}; this row has {has}",
                where=where,
                remedy=_other_way(group, called, reads),
            )
    return _read(group)


def _has_all(group: Group, reads: set[str]) -> bool:
    return all(group.said(FEEDBACK[stream][0]) for stream in reads & FEEDBACK.keys())


def _read(group: Group) -> dict[str, Any]:
    """What was said, as the streams hold it."""
    said: dict[str, Any] = {}
    if rankings := group.said(Ranking):
        # Every annotator's pairs train: two who agree count twice, two who disagree pull both ways. An objective over
        # ranks has one ranking a group, the first; `truing feedback convert --merge` makes one of several.
        pairs = [(pair, ranking) for ranking in rankings for pair in ranking.pairs()]
        said["pairs"] = [pair for pair, _ in pairs]
        said["strength"] = [1.0 if by.strength is None else by.strength for _, by in pairs]
        said["margin"] = [by.margin or 0.0 for _, by in pairs]
        said["ranks"] = [r or 0 for r in rankings[0].ranks]
        beaten = {worse for _, worse in rankings[0].pairs()}
        said["demonstrations"] = [r is not None and i not in beaten for i, r in enumerate(rankings[0].ranks)]
    for scores in group.said(Scores)[:1]:
        rows = [[v for v in row if v is not None] for row in zip(*scores.values.values(), strict=True)]
        said["scores"] = [sum(row) / len(row) if row else float("nan") for row in rows]
        best = max((v for v in said["scores"] if not math.isnan(v)), default=None)
        said.setdefault("demonstrations", [best is None or v == best for v in said["scores"]])
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
    combination: CombinationSettings = field(default_factory=CombinationSettings)
    """How several rewards become one number."""

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
            combination=self.combination,
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
