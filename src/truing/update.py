"""From a batch to changed weights: micro-batches, the divided loss, the optimizer's step.

Counts first, gradients after: every objective is asked once, on zeros in place of what the models would say, how much
it will have to divide by. So the gradient of a batch does not depend on how it was cut.
"""

from __future__ import annotations

import math
import random
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import Tensor, nn

from truing.batch import Batch, data_streams
from truing.bind import Bound
from truing.errors import NotFiniteError
from truing.gaps import Gaps
from truing.models.heads import ValueHead
from truing.models.policy import Policy
from truing.models.values import ValueModel
from truing.recipe import UpdateSettings
from truing.reduce import Term, Weighing, weigh
from truing.statistics import STATISTICS, Statistic
from truing.streams import STREAMS
from truing.tree import Packed, Tree, budgeted, pack

__all__ = ["Loss", "Updater", "learning_rate", "optimizer_for"]

CPU_TOKENS, GPU_TOKENS = 1024, 8192
"""Micro-batches when the recipe does not say: products of 2,000 rows fill a CPU, and not a GPU."""


def optimizer_for(
    model: nn.Module,
    settings: UpdateSettings,
    value: nn.Module | None = None,
    value_lr: float = 1.0,
) -> torch.optim.AdamW:
    """AdamW over what is trained; only matrices decay. `share` of a group multiplies the scheduled learning rate: 1 for
    the model, `value_lr` for the value head or model."""
    groups: list[dict[str, Any]] = []
    for module, part in ((model, 1.0), (value, value_lr)):
        trained = [] if module is None else [p for p in module.parameters() if p.requires_grad]
        groups += [
            {"params": [p for p in trained if p.ndim >= 2], "weight_decay": settings.weight_decay, "share": part},
            {"params": [p for p in trained if p.ndim < 2], "weight_decay": 0.0, "share": part},
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
    if "chosen" in streams:
        shapes["pairs"] = (len(streams["chosen"]),)
    if "aspect_scores" in streams:
        shapes["rows aspects"] = tuple(streams["aspect_scores"].shape)
    return {
        name: torch.zeros(shapes[STREAMS[name].shape], device=streams["mask"].device)
        for name in reads
        if name not in streams and STREAMS[name].shape in shapes
    }


Part = tuple[Packed, dict[str, Tensor]]
"""A micro-batch and its streams that do not come out of the model in training."""

_Cut = tuple[list[Part], list[Tensor]]
"""What an optimizer step is over, in micro-batches, and what each term is divided by."""


class Updater:
    """Changes the policy, one batch at a time."""

    def __init__(
        self,
        policy: Policy,
        loss: Loss,
        settings: UpdateSettings,
        steps: int,
        seed: int,
        *,
        value_lr: float = 1.0,
    ) -> None:
        self.policy, self.loss, self.settings, self.steps, self.seed = policy, loss, settings, steps, seed
        self.slowed = 1.0
        """The scheduled learning rate is multiplied by it: a run that went back goes on more slowly."""
        self.optimizer = optimizer_for(policy.model, settings, policy.value, value_lr)
        on_cpu = policy.device.type == "cpu"
        self.tokens_per_batch = settings.tokens_per_batch or (CPU_TOKENS if on_cpu else GPU_TOKENS)

    def step(self, batch: Batch, step: int) -> dict[str, float]:
        """All passes over one batch; the mean of the numbers of its optimizer steps.

        `NotFiniteError` when the loss or a gradient is not finite; the weights are then as they were before it.
        """
        logged: defaultdict[str, list[float]] = defaultdict(list)
        rate = learning_rate(step, self.steps, self.settings) * self.slowed
        for group in self.optimizer.param_groups:
            group["lr"] = rate * group.get("share", 1.0)
        cut: _Cut | None = None
        for number, trees in enumerate(self._minibatches(batch, step)):
            if cut is None or self.settings.minibatches > 1:
                cut = self._cut(trees)  # without minibatches every pass is over the same
            for name, value in self._optimize(trees, cut, step, first=number == 0).items():
                logged[name].append(value)
        return {**{name: sum(v) / len(v) for name, v in logged.items()}, "lr": rate}

    def assess(self, trees: Sequence[Tree], reads: Iterable[str]) -> dict[str, list[list[list[float]]]]:
        """What the models say of trees before they are changed, cut and rounded as in training."""
        return self.policy.assess(trees, set(reads), self.tokens_per_batch, autocast=self.settings.autocast)

    def evaluate(self, trees: Sequence[Tree]) -> dict[str, float]:
        """The same loss and numbers without a gradient."""
        totals = Totals()
        with torch.no_grad():
            parts = self._parts(trees)
            counts = self.loss.counts([streams for _, streams in parts])
            self._add_statistics(trees, parts)
            for packed, data in parts:
                streams = self.policy.streams(packed, self.loss.reads, data)
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

    def _parts(self, trees: Sequence[Tree]) -> list[Part]:
        made = []
        for indices in budgeted(trees, self.tokens_per_batch):
            chosen = [trees[i] for i in indices]
            packed = pack(chosen).to(self.policy.device)
            made.append((packed, data_streams(chosen, packed)))
        return made

    def _add_statistics(self, trees: Sequence[Tree], parts: Sequence[Part], *, autocast: bool = False) -> None:
        """Give every part the statistics that some objective reads, over the whole batch.

        Those over the batch's own trees share one forward pass, and leave its reference log-probabilities for the next.
        """
        wanted = {name: STATISTICS[name] for name in sorted(self.loss.reads & STATISTICS.keys())}
        for source in dict.fromkeys(statistic.trees for statistic in wanted.values()):
            group = {name: statistic for name, statistic in wanted.items() if statistic.trees is source}
            reads = {stream for statistic in group.values() for stream in statistic.reads}
            entries: dict[str, list[tuple[Tensor, ...]]] = {name: [] for name in group}
            with torch.no_grad():
                for packed, data in parts if source is None else self._parts(source(trees)):
                    streams = self.policy.streams(packed, reads, data, autocast=autocast)
                    data |= {name: streams[name] for name in reads & {"ref_logprobs"}}
                    for name, statistic in group.items():
                        entries[name].append(statistic.entries(streams))
                for name, statistic in group.items():
                    self._share(parts, name, statistic, entries[name])

    def _share(
        self, parts: Sequence[Part], name: str, statistic: Statistic, entries: Sequence[tuple[Tensor, ...]]
    ) -> None:
        """The statistic of all entries, one number to every part or to each its own."""
        if not entries:
            whole = torch.zeros((), device=self.policy.device)
        else:
            whole = statistic.whole(*(torch.cat(column) for column in zip(*entries, strict=True)))
        sizes = [len(columns[0]) for columns in entries]
        shares = torch.split(whole, sizes) if whole.ndim else [whole] * len(parts)
        for (_, data), share in zip(parts, shares, strict=True):
            data[name] = share

    def _cut(self, trees: Sequence[Tree]) -> _Cut:
        parts = self._parts(trees)
        return parts, self.loss.counts([streams for _, streams in parts])

    def _optimize(self, trees: Sequence[Tree], cut: _Cut, step: int, *, first: bool) -> dict[str, float]:
        """One optimizer step. `first`: the policy is still the one that sampled this batch."""
        parts, counts = cut
        totals = Totals()
        self._add_statistics(trees, parts, autocast=self.settings.autocast)
        gaps = Gaps()
        for packed, data in parts:
            streams = self.policy.streams(packed, self.loss.reads, data, autocast=self.settings.autocast)
            if first and "logprobs" in streams:
                gaps.add(streams)
            if "old_logprobs" in self.loss.reads and "old_logprobs" not in streams:
                # The policy before the batch's updates is the policy now, and the ratio exactly 1. Later passes, which
                # are over the same parts, find it there.
                assert first, "old_logprobs: nobody wrote them down before the policy changed"
                streams["old_logprobs"] = data["old_logprobs"] = streams["logprobs"].detach()
            if "ref_logprobs" in streams:
                data["ref_logprobs"] = streams["ref_logprobs"]  # the reference does not change from pass to pass
            self.loss.part(streams, counts, totals).backward()  # type: ignore[no-untyped-call]
        norms = self._clip()
        norm = sum(norms.values())
        value = totals.losses["loss"]
        if not (math.isfinite(value) and math.isfinite(norm)):
            self.optimizer.zero_grad()
            raise NotFiniteError(
                f"the loss is {value} and the gradient norm {norm}; the weights were left as they were",
                where=f"step {step + 1}",
                remedy="A lower update.learning_rate or a longer update.warmup usually helps; look for odd rows too.",
            )
        self.optimizer.step()
        self.optimizer.zero_grad()
        return {**totals.metrics(), **gaps.metrics(), **norms}

    def _clip(self) -> dict[str, float]:
        """Scale the gradients down; their norms before. A value model of its own is scaled by itself, so that its
        errors do not slow the policy."""
        value = self.policy.value
        together = [self.policy.model, *([value] if isinstance(value, ValueHead) else [])]
        parts = {"grad_norm": together} | ({"grad_norm/value": [value]} if isinstance(value, ValueModel) else {})
        norms = {}
        for name, modules in parts.items():
            trained = [p for module in modules for p in module.parameters() if p.requires_grad]
            norms[name] = float(nn.utils.clip_grad_norm_(trained, self.settings.max_grad_norm))
        return norms
