"""What reward models learnt from each kind of human feedback: one table, as Markdown.

    python table.py OUT

Every number is of texts that the model which is judged was not trained on: the halves of a data set test each other,
and no prompt is in both. Intervals are delete-one-prompt jackknives (Student's t, prompts − 1 degrees of freedom): the
comparisons of one prompt are not independent. A statistic of two halves is taken in each by itself and averaged.
"""

from __future__ import annotations

import argparse
import json
import math
from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from halves import SETS, DataSet, key

from truing import feedback
from truing.evaluate.intervals import Interval
from truing.evaluate.reward_model import correlation
from truing.group import Group, Labels, Ranking, Scores, StepLabels


@dataclass(frozen=True, slots=True)
class Item:
    """One judgement: of which half and prompt, what people said, and what model and rule make of it."""

    half: str
    prompt: str
    truth: float
    model: float
    rule: float
    place: str = ""
    """Judgements are compared with those of the same place only."""


@dataclass(frozen=True, slots=True)
class Row:
    """A line of the table: what is measured on which judgements, what chance gives, what the rule is called."""

    name: str
    measure: str
    statistic: Callable[[Sequence[tuple[float, float]]], float]
    items: list[Item]
    chance: float
    rule: str


# ---- statistics: of (truth, said) ----------------------------------------------------------------------------------


def mean_right(said: Sequence[tuple[float, float]]) -> float:
    """The mean of what was said: 1 right, 0 wrong, 0.5 undecided."""
    return math.fsum(right for _, right in said) / len(said)


def auc(said: Sequence[tuple[float, float]]) -> float:
    """The probability that a good one (truth 1) scores above a bad one (truth 0), ties counting half."""
    good = np.array([score for truth, score in said if truth == 1])
    bad = np.sort([score for truth, score in said if truth == 0])
    if not len(good) or not len(bad):
        return math.nan
    below, upto = np.searchsorted(bad, good, "left"), np.searchsorted(bad, good, "right")
    return float((below + upto).sum() / 2 / (len(good) * len(bad)))


def pearson(said: Sequence[tuple[float, float]]) -> float:
    """Correlation of truth and score; 0 where the score never differs, which says nothing."""
    found = correlation([truth for truth, _ in said], [score for _, score in said])
    return 0.0 if math.isnan(found) else found


def jackknife(items: Sequence[Item], value: Callable[[Sequence[Item]], float]) -> Interval:
    """A statistic and its interval by leaving out one prompt after the other: with G prompts the variance is
    (G − 1)/G · Σ (θ_g − θ̄)² (Efron and Stein, 1981; in clusters: Cameron and Miller, 2015). `n` counts prompts."""
    from scipy.special import stdtrit

    prompts = sorted({(item.half, item.prompt) for item in items})
    whole = value(items)
    number = len(prompts)
    left = [value([item for item in items if (item.half, item.prompt) != prompt]) for prompt in prompts]
    center = math.fsum(left) / number
    variance = (number - 1) / number * math.fsum((one - center) ** 2 for one in left)
    half = float(stdtrit(number - 1, 0.975)) * math.sqrt(variance)
    return Interval(whole, whole - half, whole + half, number)


def by_half(
    statistic: Callable[[Sequence[tuple[float, float]]], float], of: Callable[[Item], float]
) -> Callable[[Sequence[Item]], float]:
    """The statistic in each half, and of each place by itself: scores of two models are not comparable. Weighed by what
    was compared: judgements or, of an AUC, pairs of a good and a bad one."""

    def value(items: Sequence[Item]) -> float:
        parts: defaultdict[tuple[str, str], list[tuple[float, float]]] = defaultdict(list)
        for item in items:
            parts[item.half, item.place].append((item.truth, of(item)))
        weights = [len(said) if statistic is not auc else _num_pairs(said) for said in parts.values()]
        shares = [w * statistic(said) for said, w in zip(parts.values(), weights, strict=True) if w]
        return math.fsum(shares) / sum(weights) if shares else math.nan

    return value


def _num_pairs(said: Sequence[tuple[float, float]]) -> int:
    good = sum(truth == 1 for truth, _ in said)
    return good * (len(said) - good)


# ---- what was said of a half, and what a rule without a model would say ---------------------------------------------

Half = tuple[str, list[Group], list[list[float]], list[Group]]
"""Its name, its groups, their scores by the model of the other half, and the groups which that was trained on."""


def _halves(folder: Path) -> list[Half]:
    said = json.loads((folder / "scores.json").read_text(encoding="utf-8"))
    groups = {half: feedback.read_all(folder / f"{half}.jsonl.gz") for half in "ab"}
    return [(half, groups[half], scores, groups["a" if half == "b" else "b"]) for half, scores in said.items()]


def _lengths(group: Group) -> list[int]:
    return [len(response.text) for response in group.responses]


def ordered(group: Group) -> list[tuple[int, int]]:
    """(better, worse) of a group, whatever kind of feedback says so; one for each ranking."""
    if said := group.said(Ranking):
        return [pair for ranking in said for pair in ranking.pairs()]
    if scored := group.said(Scores):
        values: Sequence[Any] = scored[0].values["overall"]
    else:
        values = group.said(Labels)[0].values
    size = range(len(group.responses))
    return [(i, j) for i in size for j in size if values[i] > values[j]]


def _sign(number: float) -> int:
    return (number > 0) - (number < 0)


def longer_is_better(groups: Sequence[Group]) -> int:
    """1 where the longer answer is preferred in more than half of the pairs, −1 where the shorter is."""
    return _sign(sum(_sign(_lengths(g)[i] - _lengths(g)[j]) for g in groups for i, j in ordered(g))) or 1


def pair_items(halves: Sequence[Half], prefix: int | None) -> list[Item]:
    """Is the better one scored higher? The rule goes by length, whichever way it was right in training."""
    made = []
    for half, groups, scores, trained in halves:
        way = longer_is_better(trained)
        for group, row in zip(groups, scores, strict=True):
            sizes = _lengths(group)
            for i, j in ordered(group):
                right, rule = _sign(row[i] - row[j]), way * _sign(sizes[i] - sizes[j])
                made.append(Item(half, key(group, prefix), 1.0, (1 + right) / 2, (1 + rule) / 2))
    return made


def answer_items(halves: Sequence[Half], prefix: int | None) -> list[Item]:
    """Every answer with its score or thumb; the rule is its length."""
    made = []
    for half, groups, scores, trained in halves:
        way = longer_is_better(trained)
        for group, row in zip(groups, scores, strict=True):
            said = group.said(Scores)
            truths: Sequence[Any] = said[0].values["overall"] if said else group.said(Labels)[0].values
            for truth, score, size in zip(truths, row, _lengths(group), strict=True):
                made.append(Item(half, key(group, prefix), float(truth), score, float(way * size)))
    return made


def verdict_items(halves: Sequence[Half], prefix: int | None) -> list[Item]:
    """Is the thumb what the model thinks more likely? The rule always says what was more frequent in training."""
    made = []
    for half, groups, scores, trained in halves:
        thumbs = [value for g in trained for value in g.said(Labels)[0].values]
        mostly = 2 * sum(map(bool, thumbs)) > len(thumbs)
        for group, row in zip(groups, scores, strict=True):
            for truth, score in zip(group.said(Labels)[0].values, row, strict=True):
                right, rule = float((score > 0) == truth), float(mostly == truth)
                made.append(Item(half, key(group, prefix), 1.0, right, rule))
    return made


def _marks(group: Group) -> tuple[float | None, ...]:
    return group.said(StepLabels)[0].values[0]


def _task(group: Group) -> str:
    return str(group.columns.get("task", ""))


def hazard(groups: Sequence[Group]) -> Callable[[str, int], float]:
    """The share of right steps at a place of a task's solutions, drawn to the share of all by one step's weight."""
    counts: Counter[tuple[str, int, float]] = Counter()
    for group in groups:
        for place, mark in enumerate(_marks(group)):
            if mark is not None:
                counts[_task(group), place, mark] += 1
    right = sum(n for (_, _, mark), n in counts.items() if mark == 1) / max(1, sum(counts.values()))

    def share(task: str, place: int) -> float:
        good, bad = counts[task, place, 1], counts[task, place, -1]
        return (good + right) / (good + bad + 1)

    return share


def step_items(halves: Sequence[Half], prefix: int | None) -> list[Item]:
    """Every step up to the first error, right or wrong. The rule knows its place and the task."""
    made = []
    for half, groups, scores, trained in halves:
        share = hazard(trained)
        for group, row in zip(groups, scores, strict=True):
            for place, (mark, probability) in enumerate(zip(_marks(group), row, strict=True)):
                if mark is not None:
                    truth = float(mark == 1)
                    usual = share(_task(group), place)
                    made.append(Item(half, key(group, prefix), truth, probability, usual, f"{_task(group)} {place}"))
    return made


def error_items(halves: Sequence[Half], prefix: int | None) -> list[Item]:
    """Of solutions with an error: is the step that the model doubts most the first wrong one? The rule names the place
    that was most frequent in the task."""
    made = []
    for half, groups, scores, trained in halves:
        places: defaultdict[str, Counter[int]] = defaultdict(Counter)
        for group in trained:
            if -1 in _marks(group):
                places[_task(group)][_marks(group).index(-1)] += 1
        for group, row in zip(groups, scores, strict=True):
            if -1 in _marks(group):
                first = _marks(group).index(-1)
                usual = places[_task(group)].most_common(1)[0][0] if places[_task(group)] else 0
                right, rule = float(row.index(min(row)) == first), float(usual == first)
                made.append(Item(half, key(group, prefix), 1.0, right, rule))
    return made


def guess(halves: Sequence[Half]) -> float:
    """How often a step drawn from a wrong solution is its first wrong one."""
    sizes = [len(_marks(g)) for _, groups, _, _ in halves for g in groups if -1 in _marks(g)]
    return math.fsum(1 / size for size in sizes) / len(sizes)


# ---- the table -----------------------------------------------------------------------------------------------------


def rows(made: DataSet, halves: Sequence[Half]) -> Iterator[Row]:
    """What can be measured of a data set's kind of feedback."""
    first, prefix = halves[0][1][0], made.prefix
    if first.said(StepLabels):
        steps = step_items(halves, prefix)
        yield Row(made.name, "steps, AUC at one place of a task", auc, steps, 0.5, "place and task")
        anywhere = [replace(item, place="") for item in steps]
        yield Row(made.name, "steps, AUC", auc, anywhere, 0.5, "place and task")
        errors = error_items(halves, prefix)
        yield Row(made.name, "first error found", mean_right, errors, guess(halves), "most frequent place of the task")
        return
    if first.said(Scores):
        yield Row(made.name, "correlation with people", pearson, answer_items(halves, prefix), 0.0, "length")
    if first.said(Labels):
        yield Row(made.name, "answers, AUC", auc, answer_items(halves, prefix), 0.5, "length")
        verdicts = verdict_items(halves, prefix)
        usual = math.fsum(item.rule for item in verdicts) / len(verdicts)
        yield Row(made.name, "answers, accuracy", mean_right, verdicts, usual, "majority")
    yield Row(made.name, "pairs, accuracy", mean_right, pair_items(halves, prefix), 0.5, "length")


def line(row: Row, halves: Sequence[Half]) -> str:
    """A row as Markdown."""
    model, rule = (by_half(row.statistic, of) for of in (lambda item: item.model, lambda item: item.rule))
    found, plain = jackknife(row.items, model), rule(row.items)
    ahead = jackknife(row.items, lambda items: model(items) - rule(items))
    cells = (
        row.name,
        row.measure,
        f"{len(row.items)} of {found.n} prompts",
        f"**{found.value:.3f}** [{found.low:.3f}, {found.high:.3f}]",
        f"{row.chance:.3f}",
        "yes" if found.low > row.chance else "no",
        f"{row.rule} {plain:.3f}",
        f"{ahead.value:+.3f} [{ahead.low:+.3f}, {ahead.high:+.3f}]",
    )
    return "| " + " | ".join(cells) + " |"


HEAD = (
    "| data set | measured | judgements | model [95 %] | chance | above it | rule, no model | model − rule [95 %] |"
    "\n|---|---|---|---|---|---|---|---|"
)


def main(arguments: Sequence[str] | None = None) -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out", type=Path, metavar="OUT")
    chosen = parser.parse_args(arguments)
    print(HEAD)
    for made in SETS:
        if (chosen.out / made.name / "scores.json").exists():
            halves = _halves(chosen.out / made.name)
            for row in rows(made, halves):
                print(line(row, halves), flush=True)


if __name__ == "__main__":
    main()
