"""Where batches come from: `Offline` reads groups from files, `online.Online` makes them.

Both give the batch of any step on demand, as a function of the step (and, online, of the policy as it is): that is
what lets a run be cut anywhere and continued exactly.
"""

from __future__ import annotations

import math
import random
from array import array
from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping, Sequence, Set
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import Any, Protocol

import torch

from truing.batch import Batch
from truing.chat import Chat, Counts
from truing.errors import DataError
from truing.experience.aspects import of_responses
from truing.experience.demonstrations import corrected, corrections, faulty
from truing.experience.pairwise import pair_trees
from truing.feedback.convert import KINDS, Kind, Options, revisions
from truing.group import Critique, Group, Labels, Ranking, Scores, StepLabels
from truing.tree import Tree

__all__ = ["FEEDBACK", "Experience", "Offline", "shuffled", "tokenised", "trees"]

_PART = 64
_MOST_THREADS = 8


class Experience(Protocol):
    """Where batches come from."""

    @property
    def steps(self) -> int:
        """How many there are."""

    def batch(self, step: int) -> Batch:
        """The batch of step `step`, counted from 0."""

    def state(self) -> dict[str, Any]:
        """What a checkpoint has to hold for the batches to come, as plain data."""

    def restore(self, state: Mapping[str, Any]) -> None:
        """Put back what `state` gave."""


def shuffled(size: int, seed: int, epoch: int) -> list[int]:
    """A permutation of range(size) that depends on nothing but its arguments."""
    return list(_order(size, seed, epoch))


@lru_cache(maxsize=2)
def _order(size: int, seed: int, epoch: int) -> Sequence[int]:
    """Kept, because every batch of an epoch asks for it; 8 bytes a number, for there may be millions."""
    order = array("q", range(size))
    random.Random(f"order/{seed}/{epoch}").shuffle(order)
    return order


FEEDBACK = {
    "chosen": (Ranking, "pairs"),
    "rejected": (Ranking, "pairs"),
    "strength": (Ranking, "pairs"),
    "margin": (Ranking, "pairs"),
    "ranks": (Ranking, "rankings"),
    "scores": (Scores, "scores"),
    "aspect_scores": (Scores, "scores"),
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
    return [tree for found in tokenised(groups, chat, reads, counts) for tree in found]


def tokenised(
    groups: Iterable[tuple[str, Group]],
    chat: Chat,
    reads: Iterable[str],
    counts: Counter[str] | None = None,
    *,
    threads: int | None = None,
) -> Iterator[list[Tree]]:
    """`trees`, as a stream: for each group in order its trees, none where it is left out.

    On as many threads as torch may use, since the tokenizer lets go of the interpreter while it works; what comes out
    does not depend on how many they are.
    """
    wanted, counted = frozenset(reads), Counter() if counts is None else counts
    threads = min(torch.get_num_threads(), _MOST_THREADS) if threads is None else threads
    rows = iter(groups)
    parts = iter(lambda: list(islice(rows, _PART)), [])

    def made(found: tuple[list[list[Tree]], Counter[str], Counts]) -> list[list[Tree]]:
        of_groups, left_out, happened = found
        counted.update(left_out)
        chat.counts.add(happened)
        return of_groups

    if threads == 1:
        for part in parts:
            yield from made(_part(part, chat, wanted))
        return
    waiting: deque[Future[tuple[list[list[Tree]], Counter[str], Counts]]] = deque()
    pool = ThreadPoolExecutor(threads, thread_name_prefix="tokenising")
    try:
        for part in parts:
            waiting.append(pool.submit(_part, part, chat, wanted))
            if len(waiting) > 2 * threads:
                yield from made(waiting.popleft().result())
        while waiting:
            yield from made(waiting.popleft().result())
    finally:
        pool.shutdown(cancel_futures=True)


def _part(
    groups: Sequence[tuple[str, Group]], chat: Chat, reads: frozenset[str]
) -> tuple[list[list[Tree]], Counter[str], Counts]:
    """Some groups: the trees of each, what was left out, and what happened to their texts."""
    own, counts = chat.apart(), Counter[str]()
    return [_trees(where, group, own, reads, counts) for where, group in groups], counts, own.counts


def _trees(where: str, group: Group, chat: Chat, reads: frozenset[str], counts: Counter[str]) -> list[Tree]:
    feedback = _feedback(group, reads, where)
    if "demonstrations" in reads and not reads & FEEDBACK.keys() and group.said(Critique):
        worth = feedback.get("demonstrations", [True] * len(group.responses))
        group, worth = corrected(group, worth)
        feedback = {"demonstrations": worth}
    silent = _says_nothing(feedback, reads)
    if silent:
        counts[silent] += 1
        return []
    if "pair_scores" in reads:
        two = pair_trees(group, feedback, chat)
        if not two:
            counts["groups dropped as too long"] += 1
        return two
    tree = chat.group(group)
    if tree is None:
        counts["groups dropped as too long"] += 1
        return []
    if not any(any(b.mask) for b in tree.branches):
        counts["groups without a token to train on"] += 1
        return []
    if "step_labels" in reads:
        feedback["step_labels"] = _step_labels(group, tree, chat, where)
        if all(math.isnan(v) for row in feedback["step_labels"] for v in row):
            counts["groups without a judged step"] += 1
            return []
        halves = sum(v == 0.5 for row in feedback["step_labels"] for v in row)
        if halves and any(said.soft for said in group.said(StepLabels)):
            counts["steps with a probability of 0.5, which setting `neutral` replaces (0.5 keeps it)"] += halves
    tree.feedback.update(feedback)
    return [tree]


def _says_nothing(feedback: Mapping[str, Any], reads: Set[str]) -> str | None:
    """Why no objective would learn from this feedback; None where one may."""
    if "chosen" in reads and not feedback["pairs"]:
        return "groups without a preference (ties)"
    if "labels" in reads and all(v < 0 for v in feedback["labels"]):
        return "groups without a label"
    # Ranks, and scores that are read together with the groups, are compared within a group.
    if "ranks" in reads and sum(v > 0 for v in feedback["ranks"]) < 2:
        return "groups without two ranked responses"
    if "aspect_scores" in reads and all(math.isnan(v) for row in feedback["aspects"].values() for v in row):
        return "groups without a score"
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
    Scores: "rebel, reward_scores, reward_aspects",
    Labels: "kto, bco, reward_labels",
    StepLabels: "process_reward",
}


def _other_way(group: Group, called: str, reads: Set[str]) -> str:
    """What to do with feedback of another kind: recipes that read it, and the conversion if it would work."""
    known = [names for kind, names in _RECIPES.items() if group.said(kind)]
    if not known and group.said(Critique) and not any(corrections(group)):
        return "Words alone train nothing: give the corrected response too, as `edits` of the critique."
    advice = f"Recipes for what it has: {', '.join(known) or 'sft'}."
    kind = KINDS.get(called)
    if kind is None:  # nothing else that people say tells where an answer goes wrong
        return advice
    alone = len(group.responses) == 1 and bool(group.said(Labels) or group.said(Scores))
    if kind.ordered and alone:
        return f"{advice} Or `truing feedback convert --to {called}`, where several answers to one prompt were judged."
    if (option := _conversion(group, kind, reads)) is not None:
        return f"{advice} Or `truing feedback convert --to {called}{option}`."
    for pair in revisions(group) if group.said(Critique) else []:
        if _has_all(pair, reads):
            return f"{advice} Or `truing feedback convert --to pairs`: a correction is preferred to what it corrects."
        if (option := _conversion(pair, kind, reads)) is not None:
            return f"{advice} Or `truing feedback convert --to pairs`, and of these pairs `--to {called}{option}`."
    return advice


def _conversion(group: Group, kind: Kind, reads: Set[str]) -> str | None:
    """The options with which this conversion makes of the group what trains; None where none does."""
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
            return option
    return None


def _feedback(group: Group, reads: Set[str], where: str) -> dict[str, Any]:
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


def _has_all(group: Group, reads: Set[str]) -> bool:
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
    if every := group.said(Scores):
        said["aspects"] = of_responses(every)
    for labels in group.said(Labels)[:1]:
        said["labels"] = [-1 if v is None else int(v) for v in labels.values]
        said["demonstrations"] = [v is not False for v in labels.values]
    if any(faults := faulty(group)):
        worth = said.get("demonstrations", [True] * len(faults))
        said["demonstrations"] = [good and not fault for good, fault in zip(worth, faults, strict=True)]
    return said


@dataclass(frozen=True)
class Offline:
    """Batches of `batch_size` of the trees, shuffled anew in each epoch."""

    trees: Sequence[Tree]
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

    def seen(self) -> Iterator[Tree]:
        """The trees of all batches, each once, one after the other."""
        if self.steps >= self.per_epoch:
            yield from self.trees  # in the order in which they lie on the disk
            return
        for step in range(self.steps):
            yield from self.batch(step).trees

    def batch(self, step: int) -> Batch:
        epoch, index = divmod(step, self.per_epoch)
        order = _order(len(self.trees), self.seed, epoch)
        first = index * self.batch_size
        chosen = [self.trees[i] for i in order[first : first + self.batch_size]]
        return Batch(chosen, metrics={"epoch": (step + 1) / self.per_epoch})

    def state(self) -> dict[str, Any]:
        return {}

    def restore(self, state: Mapping[str, Any]) -> None:
        assert not state, state
