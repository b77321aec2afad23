"""From a batch to changed weights: micro-batches, the divided loss, the optimizer's step.

Counts first, gradients after: every objective is asked once, on zeros in place of what the models would say, how much
it will have to divide by. So the gradient of a batch does not depend on how it was cut.
"""

from __future__ import annotations

import math
import random
from collections import Counter, defaultdict
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import torch
from torch import Tensor, nn

from truing.batch import Batch, data_streams
from truing.bind import Bound
from truing.errors import TrainingError
from truing.models.policy import Policy
from truing.recipe import UpdateSettings
from truing.reduce import Term, Weighing, weigh
from truing.statistics import STATISTICS
from truing.streams import STREAMS
from truing.tree import Packed, Tree, budgeted, pack

__all__ = ["Loss", "Updater", "learning_rate", "optimizer_for"]

CPU_TOKENS, GPU_TOKENS = 2048, 8192
"""Micro-batches when the recipe does not say: products of 2,000 rows fill a CPU, and not a GPU."""


def optimizer_for(model: nn.Module, settings: UpdateSettings) -> torch.optim.AdamW:
    """AdamW over what is trained; only matrices decay."""
    trained = [p for p in model.parameters() if p.requires_grad]
    groups = [
        {"params": [p for p in trained if p.ndim >= 2], "weight_decay": settings.weight_decay},
        {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0},
    ]
    groups = [g for g in groups if g["params"]]
    return torch.optim.AdamW(groups, lr=settings.learning_rate, betas=settings.betas, eps=settings.eps, fused=True)


def learning_rate(step: int, steps: int, settings: UpdateSettings) -> float:
    """The learning rate of step `step` of `steps`, counted from 0: linear warm-up, then the schedule."""
    warm = math.ceil(settings.warmup * steps)
    if step < warm:
        return settings.learning_rate * (step + 1) / warm
    done = (step - warm) / max(1, steps - warm)
    left = {"constant": 1.0, "linear": 1.0 - done, "cosine": 0.5 * (1 + math.cos(math.pi * done))}[settings.schedule]
    if settings.schedule != "constant":
        left = settings.final_share + (1 - settings.final_share) * left
    return settings.learning_rate * left


@dataclass(frozen=True)
class Loss:
    """Weighted objectives and how they are reduced."""

    terms: Sequence[Bound]
    reduction: str
    length: int = 1
    """The divisor of `constant`: the longest response allowed."""

    @property
    def reads(self) -> set[str]:
        """The streams of all terms, and those that their statistics are made of."""
        direct = {name for term in self.terms for name in term.reads}
        return direct.union(*(STATISTICS[name].reads for name in direct & STATISTICS.keys()))

    def counts(self, parts: Sequence[Mapping[str, Tensor]]) -> list[Tensor]:
        """What each term will be divided by, over all micro-batches."""
        sums = [torch.zeros(()) for _ in self.terms]
        for streams in parts:
            blank = {**_zeros(streams, self.reads), **streams}
            for i, term in enumerate(self.terms):
                sums[i] = sums[i] + self._weigh(term.call(blank), streams).count.detach().cpu()
        return [s.clamp(min=1.0) for s in sums]

    def _weigh(self, term: Term, streams: Mapping[str, Tensor]) -> Weighing:
        return weigh(term.mask, streams["groups"], self.reduction, rows=term.rows, length=self.length)

    def part(self, streams: Mapping[str, Tensor], counts: Sequence[Tensor], totals: Totals) -> Tensor:
        """This micro-batch's share of the loss; what is to be logged is added to `totals`."""
        share = torch.zeros((), device=streams["mask"].device)
        for bound, count in zip(self.terms, counts, strict=True):
            term: Term = bound.call(streams)
            weights = self._weigh(term, streams).weights
            # where, not times: a masked value may be infinite
            value = (weights * torch.where(term.mask, term.values, 0.0)).sum() / count.to(weights.device)
            share = share + bound.weight * value
            totals.losses["loss"] += float(bound.weight * value.detach())
            if len(self.terms) > 1:
                totals.losses[f"loss/{bound.name}"] += float(value.detach())
            totals.add(term)
        return share


@dataclass
class Totals:
    """Running sums behind the logged numbers of one step."""

    losses: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    sums: defaultdict[str, float] = field(default_factory=lambda: defaultdict(float))
    counts: Counter[str] = field(default_factory=Counter)

    def add(self, term: Term) -> None:
        for name, metric in term.metrics.items():
            meant = term.mask & ~metric.isnan()
            self.sums[name] += float(torch.where(meant, metric, 0.0).sum())
            self.counts[name] += int(meant.sum())

    def metrics(self) -> dict[str, float]:
        means = {name: value / self.counts[name] for name, value in self.sums.items() if self.counts[name]}
        return {**self.losses, **means}


def _zeros(streams: Mapping[str, Tensor], reads: set[str]) -> dict[str, Tensor]:
    rows, tokens = streams["mask"].shape
    shapes: dict[str, tuple[int, ...]] = {"rows tokens": (rows, tokens), "rows": (rows,), "": ()}
    return {
        name: torch.zeros(shapes[STREAMS[name].shape], device=streams["mask"].device)
        for name in reads
        if name not in streams and STREAMS[name].shape in shapes
    }


class Updater:
    """Changes the policy, one batch at a time."""

    def __init__(self, policy: Policy, loss: Loss, settings: UpdateSettings, steps: int, seed: int) -> None:
        self.policy, self.loss, self.settings, self.steps, self.seed = policy, loss, settings, steps, seed
        self.optimizer = optimizer_for(policy.model, settings)
        on_cpu = policy.device.type == "cpu"
        self.tokens_per_batch = settings.tokens_per_batch or (CPU_TOKENS if on_cpu else GPU_TOKENS)

    def step(self, batch: Batch, step: int) -> dict[str, float]:
        """All passes over one batch; the mean of the numbers of its optimizer steps.

        `TrainingError` when the loss or a gradient is not finite; the weights are then as they were before it.
        """
        logged: defaultdict[str, list[float]] = defaultdict(list)
        rate = learning_rate(step, self.steps, self.settings)
        for group in self.optimizer.param_groups:
            group["lr"] = rate
        for trees in self._minibatches(batch, step):
            for name, value in self._optimize(trees, step).items():
                logged[name].append(value)
        return {**{name: sum(v) / len(v) for name, v in logged.items()}, "lr": rate}

    def evaluate(self, trees: Sequence[Tree]) -> dict[str, float]:
        """The same loss and numbers without a gradient."""
        totals = Totals()
        with torch.no_grad():
            parts = self._parts(trees)
            counts = self.loss.counts([streams for _, streams in parts])
            statistics = self._statistics(trees)
            for packed, data in parts:
                streams = self.policy.streams(packed, self.loss.reads, data | statistics)
                self.loss.part(streams, counts, totals)
        return totals.metrics()

    def _minibatches(self, batch: Batch, step: int) -> Iterator[list[Tree]]:
        trees, parts = batch.trees, self.settings.minibatches
        for turn in range(self.settings.passes):
            order = list(range(len(trees)))
            if parts > 1:
                random.Random(f"minibatch/{self.seed}/{step}/{turn}").shuffle(order)
            for part in range(parts):
                chosen = [trees[i] for i in order[part::parts]]
                if chosen:
                    yield chosen

    def _parts(self, trees: Sequence[Tree]) -> list[tuple[Packed, dict[str, Tensor]]]:
        made = []
        for indices in budgeted(trees, self.tokens_per_batch):
            chosen = [trees[i] for i in indices]
            packed = pack(chosen).to(self.policy.device)
            made.append((packed, data_streams(chosen, packed)))
        return made

    def _statistics(self, trees: Sequence[Tree]) -> dict[str, Tensor]:
        """The statistics that some objective reads, over the whole batch."""
        made: dict[str, Tensor] = {}
        for name in sorted(self.loss.reads & STATISTICS.keys()):
            statistic = STATISTICS[name]
            total, number = 0.0, 0.0
            with torch.no_grad():
                for packed, data in self._parts(statistic.trees(trees)):
                    streams = self.policy.streams(packed, statistic.reads, data, autocast=self.settings.autocast)
                    values, mask = statistic.values(streams)
                    total += float(values.masked_fill(~mask, 0.0).sum())
                    number += float(mask.sum())
            made[name] = torch.tensor(total / max(1.0, number), device=self.policy.device)
        return made

    def _optimize(self, trees: Sequence[Tree], step: int) -> dict[str, float]:
        parts = self._parts(trees)
        counts = self.loss.counts([streams for _, streams in parts])
        totals = Totals()
        statistics = self._statistics(trees)
        for packed, data in parts:
            streams = self.policy.streams(packed, self.loss.reads, data | statistics, autocast=self.settings.autocast)
            self.loss.part(streams, counts, totals).backward()  # type: ignore[no-untyped-call]
        trained = [p for p in self.policy.model.parameters() if p.requires_grad]
        norm = float(nn.utils.clip_grad_norm_(trained, self.settings.max_grad_norm))
        value = totals.losses["loss"]
        if not (math.isfinite(value) and math.isfinite(norm)):
            self.optimizer.zero_grad()
            raise TrainingError(
                f"the loss is {value} and the gradient norm {norm}; the weights were left as they were",
                where=f"step {step + 1}",
                remedy="A lower update.learning_rate or a longer update.warmup usually helps; look for odd rows too.",
            )
        self.optimizer.step()
        self.optimizer.zero_grad()
        return {**totals.metrics(), "grad_norm": norm}
