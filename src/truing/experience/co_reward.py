"""Reward models that are trained along with the policy, on fresh comparisons of what it says now.

A reward model is right where its comparisons came from. A policy that is trained against it leaves that place, and
finds what the model overrates. So every few steps somebody who knows (`ask`: a rule, a model, a person behind a
reward function) compares some of the policy's own samples, and the reward model learns from that before it goes on.
"""

from __future__ import annotations

import math
import random
import statistics
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from torch import Tensor

from truing import registry
from truing.batch import Batch
from truing.bind import bind
from truing.errors import NotFiniteError, RecipeError, TrainingError
from truing.group import Group, Message, Prompt, Ranking, Response
from truing.recipe import Named, RewardUpdates, UpdateSettings
from truing.rewards.ensemble import Ensemble
from truing.rewards.model import RewardModel
from truing.rewards.score import Function, score
from truing.rollouts.sampling import Sample
from truing.tree import Tree
from truing.update import Loss, Updater

__all__ = ["CoReward", "Comparison", "comparisons", "correlation", "known_comparisons", "trainable"]


@dataclass(frozen=True, slots=True)
class Comparison:
    """Two responses to a prompt, the better one first; `finished` is False for one that was cut at the limit."""

    prompt: Prompt
    better: Response
    worse: Response
    finished: tuple[bool, bool] = (True, True)
    gap: float = 1.0
    """By how much, in the judge's own units."""

    def group(self) -> Group:
        return Group(self.prompt, (self.better, self.worse))

    def plain(self) -> list[Any]:
        """As data for a checkpoint."""
        turns = [[[m.role, m.content] for m in part.messages] for part in (self.prompt, self.better, self.worse)]
        return [*turns, list(self.finished), self.gap]

    @staticmethod
    def of(plain: Sequence[Any]) -> Comparison:
        """What `plain` gave."""
        prompt, better, worse = (tuple(Message(role, content) for role, content in turns) for turns in plain[:3])
        first, second = plain[3]
        return Comparison(Prompt(prompt), Response(better), Response(worse), (first, second), plain[4])


def trainable(rewards: Sequence[Function]) -> list[RewardModel]:
    """The reward models among the rewards, an ensemble's too. `RecipeError` where there is none, or where one is not
    read at the last token."""
    found: list[RewardModel] = []
    for _, _, function in rewards:
        found += function.members if isinstance(function, Ensemble) else []
        found += [function] if isinstance(function, RewardModel) else []
    where = "reward_updates"
    if not found:
        raise RecipeError(
            "none of the rewards is a reward model",
            where=where,
            remedy="Name one: rewards: [{model: {path: ...}}], or an ensemble of several.",
        )
    if any(member.reading != "last" or member.aspects for member in found):
        raise RecipeError(
            "it trains reward models with one score for a response, read at its last token",
            where=where,
            remedy="Take one that `truing train reward` made.",
        )
    return found


def comparisons(samples: Sequence[Sequence[Sample]], number: int, key: str) -> list[tuple[int, int, int]]:
    """`number` pairs (group, i, j) of the policy's own responses with different tokens, fewer if there are no more.

    Each group gives one before any gives a second; the key decides which.
    """
    rng = random.Random(f"comparisons/{key}")
    options = []
    for row in samples:
        kept = [k for k, s in enumerate(row) if not s.rival]
        pairs = [(i, j) for a, i in enumerate(kept) for j in kept[a + 1 :] if row[i].tokens != row[j].tokens]
        rng.shuffle(pairs)
        options.append(pairs)
    order = list(range(len(samples)))
    rng.shuffle(order)
    turns = range(max(map(len, options), default=0))
    return [(g, *options[g][turn]) for turn in turns for g in order if turn < len(options[g])][:number]


def correlation(xs: Sequence[float], ys: Sequence[float]) -> float:
    """Pearson's, about 0 and not about the means: that of differences, whose sign is a matter of order.

    Σxy / √(Σx²·Σy²); NaN where one side is 0 throughout.
    """
    size = math.sqrt(math.fsum(x * x for x in xs) * math.fsum(y * y for y in ys))
    return math.fsum(x * y for x, y in zip(xs, ys, strict=True)) / size if size > 0 else math.nan


class CoReward:
    """Owns the reward models of a run and teaches them. Everything depends on the seed, the step, the samples, and what
    `state` and `tensors` hold."""

    def __init__(
        self,
        members: Sequence[RewardModel],
        judge: Sequence[Function],
        settings: RewardUpdates,
        seed: int,
        known: Sequence[Comparison] = (),
    ) -> None:
        self.members, self.judge, self.settings, self.seed = list(members), judge, settings, seed
        self.memory: list[Comparison] = list(known)[-settings.remember :] if settings.remember else []
        term = bind(registry.objective, Named(name="bradley_terry", settings={"centering": settings.centre}))
        update = UpdateSettings(learning_rate=settings.rate, schedule="constant", warmup=0.0)
        self._updaters = [
            Updater(member.policy, Loss([term], "group"), update, steps=1, seed=seed) for member in self.members
        ]

    def learn(
        self,
        step: int,
        groups: Sequence[Group],
        prompts: Sequence[list[int]],
        samples: Sequence[Sequence[Sample]],
        texts: Sequence[Sequence[str]],
    ) -> dict[str, float]:
        """After a batch of the policy's samples: in every `every`-th step ask the judge and learn; numbers for the log.

        `co_reward/accuracy`, `/correlation` and `/disagreement` are of the models before they learn from these very
        comparisons: the share that they order as the judge does (a tie counts half), how the differences of their
        scores go along with the judge's, and the spread of that difference over the models.
        """
        if (step + 1) % self.settings.every:
            return {}
        fresh = self._asked(step, groups, prompts, samples, texts)
        metrics = {"co_reward/comparisons": float(len(fresh))}
        if not fresh:
            return metrics
        metrics |= self._known_of(fresh)
        losses = [self._taught(number, fresh, step) for number in range(len(self.members))]
        metrics |= {"co_reward/loss": statistics.fmean(losses)}
        self.memory = (self.memory + fresh)[-self.settings.remember :] if self.settings.remember else []
        return metrics

    def _asked(
        self,
        step: int,
        groups: Sequence[Group],
        prompts: Sequence[list[int]],
        samples: Sequence[Sequence[Sample]],
        texts: Sequence[Sequence[str]],
    ) -> list[Comparison]:
        """What the judge says of some pairs; those that are the same to it are left out."""
        pairs = comparisons(samples, self.settings.comparisons, f"{self.seed}/{step}")
        if not pairs:
            return []
        two = [[samples[g][i], samples[g][j]] for g, i, j in pairs]
        said = [[texts[g][i], texts[g][j]] for g, i, j in pairs]
        asked = [groups[g] for g, _, _ in pairs]
        scored = score(self.judge, asked, [prompts[g] for g, _, _ in pairs], two, said)
        out = []
        for group, row, words, (first, second) in zip(asked, two, said, scored.totals, strict=True):
            if math.isnan(first) or math.isnan(second) or first == second:
                continue
            order = (0, 1) if first > second else (1, 0)
            better, worse = (Response.of(words[k]) for k in order)
            ended = (row[order[0]].finished, row[order[1]].finished)
            out.append(Comparison(group.prompt, better, worse, ended, abs(first - second)))
        return out

    def _known_of(self, fresh: Sequence[Comparison]) -> dict[str, float]:
        gaps = []
        for member in self.members:
            scores = member.score_groups([each.group() for each in fresh], [each.finished for each in fresh])
            gaps.append([better - worse for better, worse in scores])
        means = [statistics.fmean(column) for column in zip(*gaps, strict=True)]
        spread = statistics.fmean(statistics.pstdev(column) for column in zip(*gaps, strict=True))
        return {
            "co_reward/accuracy": statistics.fmean(0.5 if m == 0 else float(m > 0) for m in means),
            "co_reward/correlation": correlation(means, [each.gap for each in fresh]),
            "co_reward/disagreement": spread,
        }

    def _taught(self, number: int, fresh: Sequence[Comparison], step: int) -> float:
        """The mean loss of one model's updates. Each model draws for itself, so that they do not become one."""
        member, updater = self.members[number], self._updaters[number]
        losses = []
        for chosen in self._batches(fresh, random.Random(f"replay/{self.seed}/{step}/{number}")):
            trees = _trees(member, chosen)
            try:
                losses.append(updater.step(Batch(trees), 0)["loss"])
            except NotFiniteError as error:
                raise TrainingError(
                    "a reward model's loss or gradient is not finite",
                    where=f"reward_updates, step {step + 1}",
                    remedy="A lower reward_updates.rate usually helps.",
                ) from error
        return statistics.fmean(losses)

    def _batches(self, fresh: Sequence[Comparison], rng: random.Random) -> Iterator[list[Comparison]]:
        """`updates` times `compared_at_once` comparisons, a share `replay` of them old; all come before one comes
        again."""
        old = round(self.settings.compared_at_once * self.settings.replay) if self.memory else 0
        new = self.settings.compared_at_once - old
        streams = _shuffled(fresh, rng), _shuffled(self.memory, rng)
        for _ in range(self.settings.updates):
            yield [next(stream) for stream, count in zip(streams, (new, old), strict=True) for _ in range(count)]

    # ---- what a checkpoint holds -----------------------------------------------------------------------------------

    def state(self) -> dict[str, Any]:
        """The comparisons that are remembered, as plain data."""
        return {"memory": [each.plain() for each in self.memory]}

    def tensors(self) -> dict[str, Tensor]:
        """Weights and optimizer of every reward model."""
        out: dict[str, Tensor] = {}
        for i, (member, updater) in enumerate(zip(self.members, self._updaters, strict=True)):
            for name, parameter in member.model.named_parameters():
                out[f"{i}|{name}"] = parameter.data
                moments = updater.optimizer.state.get(parameter, {})
                out |= {f"{i}|{name}|{slot}": value for slot, value in moments.items()}
        return out

    def restore(self, state: Mapping[str, Any], tensors: Mapping[str, Tensor]) -> None:
        """Put back what `state` and `tensors` gave."""
        self.memory = [Comparison.of(plain) for plain in state["memory"]]
        for i, (member, updater) in enumerate(zip(self.members, self._updaters, strict=True)):
            parameters = dict(member.model.named_parameters())
            updater.optimizer.state.clear()
            for key, value in tensors.items():
                number, name, *slot = key.split("|")
                if int(number) != i:
                    continue
                parameter = parameters[name]
                if not slot:
                    parameter.data.copy_(value)
                else:
                    # AdamW keeps its step counter on the CPU, its moments beside the parameter.
                    beside = value if value.ndim == 0 else value.to(parameter.device)
                    updater.optimizer.state[parameter][slot[0]] = beside

    def save(self, out: Path) -> None:
        """The reward models as they are now, a standard folder each: `reward_model/`, or `reward_model_1/` and on."""
        for number, member in enumerate(self.members, 1):
            folder = out / ("reward_model" if len(self.members) == 1 else f"reward_model_{number}")
            member.save(folder, {"recipe": "co_reward"})


def known_comparisons(groups: Sequence[Group]) -> list[Comparison]:
    """The comparisons in groups with rankings."""
    return [
        Comparison(group.prompt, group.responses[i], group.responses[j])
        for group in groups
        for ranking in group.said(Ranking)
        for i, j in ranking.pairs()
    ]


def _trees(member: RewardModel, chosen: Sequence[Comparison]) -> list[Tree]:
    trees = member.trees([each.group() for each in chosen], [each.finished for each in chosen])
    for tree in trees:
        tree.feedback.update(pairs=[(0, 1)], strength=[1.0], margin=[0.0])
    return trees


def _shuffled(items: Sequence[Comparison], rng: random.Random) -> Iterator[Comparison]:
    """All of them in some order, again and again."""
    while items:
        yield from rng.sample(items, len(items))
