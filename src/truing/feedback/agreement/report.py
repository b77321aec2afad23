"""What the coefficients say of a file: overall, pair by pair, annotator by annotator, and where people part."""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import combinations
from pathlib import Path
from typing import Any, cast, get_args

from truing.errors import DataError
from truing.evaluate.intervals import Interval, proportion
from truing.feedback.agreement.coefficients import (
    Coefficient,
    Level,
    cohen_kappa,
    fleiss_kappa,
    krippendorff_alpha,
    percent_agreement,
)
from truing.feedback.agreement.ratings import Place, Question, Ratings, of_columns, of_groups
from truing.feedback.files import refuse
from truing.feedback.reading import located, none_left
from truing.feedback.sources import rows

__all__ = ["Agreement", "Annotator", "Difference", "Pair", "Report", "agreement", "of_question", "report"]

TARGET = 0.6
"""From here on agreement is called substantial (Landis and Koch 1977, Biometrics 33(1))."""
MOST_CATEGORIES = 20
"""Numbers of more kinds are no categories: only distances between them say something."""


@dataclass(frozen=True, slots=True)
class Pair:
    """Two annotators on the items that both judged."""

    first: str
    second: str
    num_items: int
    same: Interval | None
    """The share of items on which they say the same; None for numbers of many kinds."""
    kappa: Coefficient | None
    """Cohen's; None for numbers of many kinds."""
    weighted: Coefficient | None
    """Of ordered values: Cohen's kappa with quadratic weights; of numbers of many kinds interval alpha."""


@dataclass(frozen=True, slots=True)
class Annotator:
    """How often somebody says what the others say: the mean over shared items of the share of them who do."""

    name: str
    num_items: int
    num_shared: int
    same: float | None


@dataclass(frozen=True, slots=True)
class Difference:
    """An item on which people part: the place of its first row, which part of it, and who says what."""

    where: str
    part: str
    excerpt: str
    said: dict[str, str]
    agreement: float | None


@dataclass(frozen=True, slots=True)
class Agreement:
    """Everything about one question."""

    name: str
    level: Level
    num_items: int
    num_shared: int
    """Items that two or more judged."""
    num_ratings: int
    num_repeats: int
    """Times that somebody judged again what they had judged; the first judgement counts."""
    num_repeats_alike: int
    overall: dict[str, Coefficient]
    """By name: `percent`, `cohen` (where there are two annotators in all), `fleiss`, `alpha_nominal`, `alpha_ordinal`,
    `alpha_interval`; those that the level allows."""
    headline: str
    """The one of `overall` that is held against the target."""
    pairs: list[Pair] = field(default_factory=list)
    annotators: list[Annotator] = field(default_factory=list)
    confusions: dict[str, int] = field(default_factory=dict)
    """Which two values are said of the same item, by how many pairs of annotators: the most frequent first."""
    by: dict[str, tuple[int, float]] = field(default_factory=dict)
    """Value of the column -> (shared items, share of pairs of ratings that are the same); the worst first."""
    differences: list[Difference] = field(default_factory=list)
    """The items with the most disagreement."""

    def met(self, target: float) -> bool | None:
        return self.overall[self.headline].reaches(target)


@dataclass(frozen=True, slots=True)
class Report:
    """The questions of a file."""

    source: str
    target: float
    num_groups: int
    questions: list[Agreement]
    lonely: dict[str, int]
    """Questions on which nobody was asked twice: how many items each has."""
    left_out: dict[str, int]
    num_skipped: int = 0

    def as_json(self) -> dict[str, Any]:
        """For programs; what does not exist is null."""
        return {
            "source": self.source,
            "target": self.target,
            "num_groups": self.num_groups,
            "num_skipped": self.num_skipped,
            "left_out": self.left_out,
            "lonely": self.lonely,
            "questions": [{**_plain(each), "met": each.met(self.target)} for each in self.questions],
        }

    def text(self) -> str:
        """For people."""
        from truing.feedback.agreement.table import text

        return text(self)


def _plain(value: Any) -> Any:
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, dict):
        return {str(name): _plain(each) for name, each in value.items()}
    if isinstance(value, (list, tuple)):
        return [_plain(each) for each in value]
    if isinstance(value, Coefficient):
        return {**_plain(value.interval), "why": value.why}
    if hasattr(value, "__dataclass_fields__"):
        return {name: _plain(getattr(value, name)) for name in value.__dataclass_fields__}
    return value


Item = tuple[int, ...]


def _clusters(items: Sequence[Item]) -> list[int] | None:
    """What was sampled, where several items come of one group."""
    return [item[0] for item in items] if len({item[0] for item in items}) < len(items) else None


def _overall(question: Question, items: Sequence[Item], annotators: Sequence[str], few: bool) -> dict[str, Coefficient]:
    table = [list(question.said[item].values()) for item in items]
    clusters = _clusters(items)
    found: dict[str, Coefficient] = {}
    if few:
        found["percent"] = percent_agreement(table, clusters=clusters)
        if len(annotators) == 2:
            one, other = ([question.said[item].get(who) for item in items] for who in annotators)
            found["cohen"] = cohen_kappa(one, other, clusters=clusters)
        found["fleiss"] = fleiss_kappa(table, clusters=clusters)
        found["alpha_nominal"] = krippendorff_alpha(table, clusters=clusters)
        if question.level != "nominal":
            found["alpha_ordinal"] = krippendorff_alpha(table, level="ordinal", clusters=clusters)
    if question.level == "interval":
        found["alpha_interval"] = krippendorff_alpha(table, level="interval", clusters=clusters)
    return found


def _pairs(question: Question, few: bool, categories: Sequence[Any]) -> list[Pair]:
    shared: dict[tuple[str, str], list[tuple[Item, Any, Any]]] = defaultdict(list)
    for item, told in question.said.items():
        for one, other in combinations(sorted(told), 2):
            shared[one, other].append((item, told[one], told[other]))
    made = []
    for (one, other), both in shared.items():
        items, first, second = zip(*both, strict=True)
        clusters = _clusters(items)
        weighted = None
        if few and question.level != "nominal" and len(categories) > 2:
            weighted = cohen_kappa(first, second, weights="quadratic", categories=categories, clusters=clusters)
        elif not few:
            table = list(zip(first, second, strict=True))
            weighted = krippendorff_alpha(table, level="interval", clusters=clusters)
        same = proportion(sum(a == b for a, b in zip(first, second, strict=True)), len(both)) if few else None
        kappa = cohen_kappa(first, second, clusters=clusters) if few else None
        made.append(Pair(one, other, len(both), same, kappa, weighted))
    return sorted(made, key=lambda pair: (-pair.num_items, pair.first, pair.second))


def _annotators(question: Question, few: bool) -> list[Annotator]:
    judged: Counter[str] = Counter()
    shares: dict[str, list[float]] = defaultdict(list)
    for told in question.said.values():
        number = Counter(told.values())
        for who, value in told.items():
            judged[who] += 1
            if len(told) > 1:
                shares[who].append((number[value] - 1) / (len(told) - 1))
    made = []
    for who, num_items in judged.items():
        alike = shares[who]
        made.append(Annotator(who, num_items, len(alike), sum(alike) / len(alike) if alike and few else None))
    return sorted(made, key=lambda a: (math.inf if a.same is None else a.same, a.name))


def _same(told: Sequence[Any]) -> float:
    """The share of pairs of ratings that are the same."""
    number = Counter(told)
    return sum(k * (k - 1) for k in number.values()) / (len(told) * (len(told) - 1))


def _spread(told: Sequence[Any]) -> float:
    middle = sum(told) / len(told)
    return float(sum((value - middle) ** 2 for value in told) / len(told))


def _part(question: Question, item: Item) -> str:
    match item[1:], question.name:
        case (one, other), "preference" | "ranking":
            return "" if question.name == "preference" else f"responses {one + 1} and {other + 1}"
        case (response, step), _:
            return f"response {response + 1}, step {step + 1}"
        case (response,), _:
            return f"response {response + 1}"
        case _:
            return ""


def _differences(question: Question, items: Sequence[Item], places: Sequence[Place], few: bool) -> list[Difference]:
    def how_much(item: Item) -> tuple[float, int]:
        told = list(question.said[item].values())
        return (_same(told) if few else -_spread(told), -len(told))

    parted = [item for item in items if len(set(question.said[item].values())) > 1]
    made = []
    for item in sorted(parted, key=how_much)[:20]:
        told, place = question.said[item], places[item[0]]
        said = {who: question.word(value) for who, value in sorted(told.items())}
        share = _same(list(told.values())) if few else None
        made.append(Difference(place.where, _part(question, item), place.excerpt, said, share))
    return made


def _confusions(question: Question, items: Sequence[Item]) -> dict[str, int]:
    found: Counter[tuple[Any, Any]] = Counter()
    for item in items:
        number = sorted(Counter(map(question.word, question.said[item].values())).items())
        for (one, times), (other, others) in combinations(number, 2):
            found[one, other] += times * others
    return {f"{one} / {other}": times for (one, other), times in found.most_common()}


def _by(question: Question, items: Sequence[Item], places: Sequence[Place]) -> dict[str, tuple[int, float]]:
    shares: dict[str, list[float]] = defaultdict(list)
    for item in items:
        if (value := places[item[0]].by) is not None:
            shares[value].append(_same(list(question.said[item].values())))
    means = {value: (len(each), sum(each) / len(each)) for value, each in shares.items()}
    return dict(sorted(means.items(), key=lambda pair: (pair[1][1], pair[0])))


def of_question(question: Question, places: Sequence[Place]) -> Agreement | None:
    """The agreement on one question; None where nobody was asked what somebody else was asked, or where there are more
    than `MOST_CATEGORIES` words: then it is free text."""
    items = [item for item, told in question.said.items() if len(told) > 1]
    if not items:
        return None
    categories = sorted({value for told in question.said.values() for value in told.values()}, key=_order)
    few = len(categories) <= MOST_CATEGORIES
    if not few and question.level != "interval":
        return None
    names = sorted({who for told in question.said.values() for who in told})
    # All items: those that one annotator judged say how common a category is.
    overall = _overall(question, list(question.said), names, few)
    headline = "cohen" if "cohen" in overall else "fleiss"
    # Ordered numbers are held against the number that sees their order; words (first, tie, second) against kappa.
    if question.level != "nominal" and not question.words:
        headline = f"alpha_{question.level}"
    elif question.level == "interval":
        headline = "alpha_interval"
    return Agreement(
        name=question.name,
        level=question.level,
        num_items=len(question.said),
        num_shared=len(items),
        num_ratings=sum(len(told) for told in question.said.values()),
        num_repeats=question.num_repeats,
        num_repeats_alike=question.num_repeats_alike,
        overall=overall,
        headline=headline,
        pairs=_pairs(question, few, categories),
        annotators=_annotators(question, few),
        confusions=_confusions(question, items) if few else {},
        by=_by(question, items, places) if few else {},
        differences=_differences(question, items, places, few),
    )


def _order(value: Any) -> tuple[bool, Any]:
    return (True, value) if isinstance(value, str) else (False, value)


def report(ratings: Ratings, source: str, *, target: float = TARGET, num_skipped: int = 0) -> Report:
    """The agreement on all questions. `DataError` where nobody judged what somebody else judged."""
    made, lonely = [], {}
    for question in ratings.questions.values():
        found = of_question(question, ratings.places)
        if found is None and any(len(told) > 1 for told in question.said.values()):
            ratings.left_out[f"items of `{question.name}`: it has more than {MOST_CATEGORIES} categories"] += len(
                question.said
            )
        elif found is None:
            lonely[question.name] = len(question.said)
        else:
            made.append(found)
    if not made:
        raise _nothing_twice(ratings, source)
    return Report(source, target, ratings.num_groups, made, lonely, dict(ratings.left_out), num_skipped)


def _nothing_twice(ratings: Ratings, source: str) -> DataError:
    told = [told for question in ratings.questions.values() for told in question.said.values() if len(told) == 1]
    left = "; ".join(f"{number} {why}" for why, number in ratings.left_out.items())
    if told and not left:
        people = len({who for each in told for who in each})
        found = f"nobody judged what somebody else judged: {len(told)} items by {people} annotator{'s' * (people > 1)}"
        remedy = "Give a share of the items (a tenth, say) to two people, under their own names in `annotator_id`."
        if people > 1:
            remedy += " Rows are the same item where prompt and responses are the same to the letter."
    elif left:
        found, remedy = f"there is nothing to compare: {left}", "Say in `annotator_id` who judged each row."
        if told:
            remedy += " Give a share of the items to two people."
    else:
        found = f"its {ratings.num_groups} groups hold no feedback"
        remedy = "Agreement is of rankings, scores, thumbs or marks on steps; --columns compares columns of a table."
    return DataError(found, where=source, remedy=remedy)


def agreement(
    source: str | Path,
    *,
    format: str | None = None,
    skip_bad: bool = False,
    target: float = TARGET,
    item: str | None = None,
    by: str | None = None,
    columns: Sequence[str] = (),
    level: str = "nominal",
) -> Report:
    """How far the annotators of a file agree; see `truing feedback agreement --help`.

    `columns` compares columns of a plain table, a row an item, at this `level` of measurement.
    """
    bad: list[DataError] = []
    hear = bad.append if skip_bad else refuse
    if level not in get_args(Level):
        raise DataError(f"the level of measurement is {level}", remedy=f"Known: {', '.join(get_args(Level))}.")
    if columns:
        if len(set(columns)) < 2:
            raise DataError(f"--columns names {columns[0]} alone", remedy="Name a column for each annotator: a,b,c.")
        if item is not None:
            raise DataError("--item with --columns", remedy="There every row is an item: leave --item out.")
        ratings = of_columns(rows(source, hear), columns, cast(Level, level), by=by)
    else:
        ratings = of_groups(located(source, format=format, on_bad=hear), item=item, by=by)
    if not ratings.num_groups:
        raise none_left(source, bad)
    return report(ratings, str(source), target=target, num_skipped=len(bad))
