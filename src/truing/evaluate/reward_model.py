"""How good a reward model is on comparisons it has not seen: accuracy, calibration, and how much of it is length.

accuracy      the share of comparisons in which the preferred response scores higher
reliability   how often it is right when it says that it is 70 % sure
length        how far "the longer one" would get, and how often the model says just that
"""

from __future__ import annotations

import json
import math
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

from truing.errors import DataError
from truing.evaluate.intervals import Interval, win_share
from truing.group import Group, Ranking

if TYPE_CHECKING:
    from truing.rewards.pair import PairPreference

__all__ = [
    "Bin",
    "Comparison",
    "Report",
    "accuracy",
    "assess",
    "by_category",
    "comparisons",
    "correlation",
    "evaluate_reward",
    "expected_calibration_error",
    "length_correlation",
    "reliability",
]


@dataclass(frozen=True, slots=True)
class Comparison:
    """A preferred and another response: their rewards, their lengths in characters, and how sure the preference is."""

    rewards: tuple[float, float]
    lengths: tuple[int, int]
    strength: float = 1.0
    category: str | None = None

    @property
    def gap(self) -> float:
        return self.rewards[0] - self.rewards[1]

    @property
    def longer(self) -> int:
        """By how many characters the preferred response is longer."""
        return self.lengths[0] - self.lengths[1]


@dataclass(frozen=True, slots=True)
class Bin:
    """Comparisons in which the model's confidence is in low..high: its mean confidence, and the share it got right."""

    low: float
    high: float
    confidence: float
    right: float
    n: int


@dataclass(frozen=True, slots=True)
class Report:
    """Everything about one reward model on one file. Intervals count comparisons: where a prompt has several, they are
    not independent, and the truth is a little wider (`num_prompts` is the number to think of)."""

    num_prompts: int
    accuracy: Interval
    categories: dict[str, Interval]
    bins: list[Bin]
    calibration_error: float
    longer_wins: Interval
    """Accuracy of always preferring the longer response."""
    prefers_longer: Interval
    """Share of comparisons in which the model gives the longer response the higher reward."""
    length_correlation: float
    """Of reward and length within prompts; NaN where one of them never differs."""

    def text(self) -> str:
        """A table to read."""
        rows = [
            ("accuracy", _said(self.accuracy)),
            *((f"  {name}", _said(interval)) for name, interval in self.categories.items()),
            ("calibration error", f"{self.calibration_error:.3f}"),
            *(
                (f"  sure {b.low:.2f}..{b.high:.2f}", f"{b.confidence:.3f} sure, {b.right:.3f} right (n = {b.n})")
                for b in self.bins
                if b.n
            ),
            ("the longer one wins", _said(self.longer_wins)),
            ("the model prefers longer", _said(self.prefers_longer)),
            ("correlation with length", f"{self.length_correlation:+.3f} within prompts"),
        ]
        width = max(len(name) for name, _ in rows)
        head = f"{self.accuracy.n} comparisons of {self.num_prompts} prompts"
        return "\n".join([head, "", *(f"{name:{width}}  {value}" for name, value in rows)])

    def plain(self) -> dict[str, Any]:
        """For JSON."""
        from truing.record import json_safe

        safe: dict[str, Any] = json_safe(asdict(self))
        return safe


def accuracy(gaps: Iterable[float]) -> Interval:
    """The share of gaps above 0, ties counting half, with Wilson's interval."""
    signs = Counter((gap > 0) - (gap < 0) for gap in gaps)
    return win_share(signs[1], signs[0], signs[-1])


def by_category(made: Sequence[Comparison]) -> dict[str, Interval]:
    """Accuracy in each category, in order of name; nothing where there are none."""
    gaps: defaultdict[str, list[float]] = defaultdict(list)
    for comparison in made:
        if comparison.category is not None:
            gaps[comparison.category].append(comparison.gap)
    return {name: accuracy(gaps[name]) for name in sorted(gaps)}


def reliability(gaps: Sequence[float], strengths: Sequence[float] | None = None, *, num_bins: int = 10) -> list[Bin]:
    """The reliability curve, in equal bins of confidence from 0.5 to 1.

    By Bradley-Terry the model thinks with probability σ(gap) that the preferred response is better. Its confidence is
    max(σ, 1 − σ), and it is right with the data's `strength` where it agrees, 1 − strength where not, half in a tie.
    An empty bin has NaN.
    """
    strengths = [1.0] * len(gaps) if strengths is None else strengths
    held: list[list[tuple[float, float]]] = [[] for _ in range(num_bins)]
    for gap, strength in zip(gaps, strengths, strict=True):
        confidence = 1 / (1 + math.exp(-abs(gap)))
        right = 0.5 if gap == 0 else strength if gap > 0 else 1 - strength
        held[min(num_bins - 1, int((confidence - 0.5) * 2 * num_bins))].append((confidence, right))
    bins = []
    for i, members in enumerate(held):
        n = len(members)
        sure, right = (math.fsum(m[k] for m in members) / n if n else math.nan for k in (0, 1))
        bins.append(Bin(0.5 + 0.5 * i / num_bins, 0.5 + 0.5 * (i + 1) / num_bins, sure, right, n))
    return bins


def expected_calibration_error(bins: Sequence[Bin]) -> float:
    """ECE: Σ n/N · |right − confidence| over the bins (arXiv:1706.04599, eq. 3). NaN of nothing."""
    total = sum(b.n for b in bins)
    if not total:
        return math.nan
    return math.fsum(b.n * abs(b.right - b.confidence) for b in bins if b.n) / total


def correlation(xs: Sequence[float], ys: Sequence[float]) -> float:
    """Pearson's correlation; NaN where one of them never differs."""
    n = len(xs)
    assert n == len(ys)
    if n < 2:
        return math.nan
    mean_x, mean_y = math.fsum(xs) / n, math.fsum(ys) / n
    dx, dy = [x - mean_x for x in xs], [y - mean_y for y in ys]
    spread = math.sqrt(math.fsum(d * d for d in dx)) * math.sqrt(math.fsum(d * d for d in dy))
    return math.fsum(a * b for a, b in zip(dx, dy, strict=True)) / spread if spread > 0 else math.nan


def length_correlation(rewards: Sequence[Sequence[float]], lengths: Sequence[Sequence[int]]) -> float:
    """Correlation of reward and length within prompts: both as distances from the mean of their prompt.

    Rewards of different prompts are not comparable, and some prompts want long answers.
    """
    xs: list[float] = []
    ys: list[float] = []
    for row, sizes in zip(rewards, lengths, strict=True):
        if row:
            xs += [r - math.fsum(row) / len(row) for r in row]
            ys += [s - sum(sizes) / len(sizes) for s in sizes]
    return correlation(xs, ys)


def comparisons(group: Group, rewards: Sequence[float], category: str = "category") -> list[Comparison]:
    """All comparisons that the rankings of a group make; the column `category` says what kind they are of."""
    lengths = [len(response.text) for response in group.responses]
    kind = group.columns.get(category)
    return [
        Comparison(
            (rewards[better], rewards[worse]),
            (lengths[better], lengths[worse]),
            1.0 if ranking.strength is None else ranking.strength,
            None if kind is None else str(kind),
        )
        for ranking in group.said(Ranking)
        for better, worse in ranking.pairs()
    ]


def assess(groups: Sequence[Group], rewards: Sequence[Sequence[float]], *, category: str = "category") -> Report:
    """Rewards, a row for each group, against what was said of the groups."""
    rows = [comparisons(g, r, category) for g, r in zip(groups, rewards, strict=True)]
    made = [comparison for row in rows for comparison in row]
    bins = reliability([c.gap for c in made], [c.strength for c in made])
    unequal = [c for c in made if c.longer]
    return Report(
        num_prompts=sum(bool(row) for row in rows),
        accuracy=accuracy(c.gap for c in made),
        categories=by_category(made),
        bins=bins,
        calibration_error=expected_calibration_error(bins),
        longer_wins=accuracy(c.longer for c in made),
        prefers_longer=accuracy(c.gap * c.longer for c in unequal),
        length_correlation=length_correlation(rewards, [[len(r.text) for r in g.responses] for g in groups]),
    )


def evaluate_reward(
    model: str,
    data: str,
    out: Path,
    *,
    format: str | None = None,
    category: str = "category",
    tokens_per_batch: int = 8192,
) -> Report:
    """A reward model (folder or hub name) on a file of comparisons; the report as JSON in `out`.

    One that compares two responses (`pair_preference`) is asked about each comparison by itself. `DataError` where
    nothing in the file is compared.
    """
    from truing import feedback
    from truing.record import replace_text
    from truing.rewards.model import RewardModel
    from truing.rewards.pair import PairPreference, compares_pairs

    groups = [g for _, g in feedback.located(data, format=format) if any(r.pairs() for r in g.said(Ranking))]
    if not groups:
        raise DataError(
            "no row in it says that one response is better than another",
            where=data,
            remedy="`truing feedback convert --to pairs` makes comparisons of scores and labels.",
        )
    if compares_pairs(model):
        report = _of_pairs(groups, PairPreference(path=model, tokens_per_batch=tokens_per_batch), category)
    else:
        # Plain scores: it is their differences that are log-odds.
        judge = RewardModel(path=model, normalise=False, tokens_per_batch=tokens_per_batch)
        report = assess(groups, judge.score_groups(groups), category=category)
    out.parent.mkdir(parents=True, exist_ok=True)
    replace_text(out, json.dumps({"model": model, "data": data, **report.plain()}, indent=2) + "\n")
    return report


def _of_pairs(groups: Sequence[Group], judge: PairPreference, category: str) -> Report:
    """The report on a model of pairs: each comparison is a group of its own, its log-odds the gap of the rewards."""
    pairs = [
        Group(group.prompt, two, (replace(said, ranks=(1, 2)) if len(said.ranks) == 2 else Ranking.pair(),), columns)
        for group in groups
        for columns in [group.columns]
        for said in group.said(Ranking)
        for better, worse in said.pairs()
        for two in [(group.responses[better], group.responses[worse])]
    ]
    logits = judge.logits([p.prompt for p in pairs], *zip(*(p.responses for p in pairs), strict=True))
    report = assess(pairs, [(logit / 2, -logit / 2) for logit in logits], category=category)
    return replace(report, num_prompts=len(groups))


def _said(interval: Interval) -> str:
    return f"{interval.value:.3f} [{interval.low:.3f}, {interval.high:.3f}] (n = {interval.n})"
