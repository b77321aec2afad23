"""What the labels are worth: live numbers of a project, and warnings where something else explains them.

An interval in a warning holds the truth in 99 of 100 cases, elsewhere in 95: a project of twenty people would be warned
of one of them otherwise.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from sqlalchemy import func, select, text

from truing.evaluate.intervals import Interval, proportion
from truing.feedback.agreement.ratings import Place, Question
from truing.feedback.agreement.report import MOST_CATEGORIES, TARGET, Agreement, of_question
from truing.studio import kinds
from truing.studio.assignment import GOLD_LAST
from truing.studio.kinds import Answer, Kind
from truing.studio.store import Store
from truing.studio.store.tables import Answers, Items, Members, People, Tasks, Verdicts

__all__ = ["Bias", "Cost", "PersonQuality", "Progress", "Summary", "Warning", "summary"]

LEAST = 30
"""Choices that a bias is judged by."""
FAR = 0.1
"""A share nearer than this to what it should be is not worth a warning, however sure it is."""
FAR_LENGTH = 0.15
"""Longer answers may well be better, so more is needed here."""
LEAST_SHARED = 20
MUCH = 0.5


@dataclass(frozen=True, slots=True)
class Bias:
    """How often one place, or the longer response, is chosen. `expected`: how often by chance."""

    share: Interval
    expected: float


@dataclass(frozen=True, slots=True)
class PersonQuality:
    """One annotator in this project."""

    person_id: int
    name: str
    state: str
    """`qualifying`, `working`, `failed`, or `paused`."""
    paused: str | None
    num_answers: int
    """Of real work: gold and the test are counted apart."""
    num_skipped: int
    median_seconds: float | None
    num_shared: int
    """Parts of answers that somebody else was asked too."""
    agreement: float | None
    """The mean share of the others who say the same."""
    num_gold: int
    gold_score: float | None
    """Over the last 20, as the pause goes by."""
    qualification_score: float | None
    first_shown: Bias | None
    longer: Bias | None


@dataclass(frozen=True, slots=True)
class Progress:
    """Of the work, without gold and test. `num_labels` of `num_wanted` seats are answered."""

    num_items: int
    num_done: int
    num_labels: int
    num_wanted: int
    num_open: int
    num_disputed: int
    num_decided: int


@dataclass(frozen=True, slots=True)
class Cost:
    """Money is None where the project has no wage. What is to come includes the gold items on the way."""

    hours: float
    minutes_per_item: float | None
    money: float | None
    hours_to_come: float | None
    money_to_come: float | None


@dataclass(frozen=True, slots=True)
class Warning:
    """`what`: position, length, annotator, agreement. `person`: whom it is about, None = the project."""

    what: str
    person: str | None
    text: str


@dataclass(frozen=True, slots=True)
class Summary:
    """The live numbers of a project. `agreement` has one entry for each thing that was asked of two people or more."""

    project_id: int
    progress: Progress
    people: tuple[PersonQuality, ...]
    agreement: tuple[Agreement, ...]
    target: float
    target_met: bool | None
    """None: nothing was judged twice yet."""
    first_shown: Bias | None
    longer: Bias | None
    cost: Cost
    warnings: tuple[Warning, ...]


@dataclass(frozen=True, slots=True)
class _Label:
    item_id: int
    person_id: int
    value: Answer
    seconds: float
    order: Sequence[int]
    lengths: Sequence[int]


def summary(store: Store, project_id: int, *, target: float = TARGET) -> Summary:
    """All live numbers, of one moment of the store."""
    project = store.project(project_id)
    kind = kinds.get(project.kind)
    with store.reading() as conn:
        labels = [
            _Label(*row)
            for row in conn.execute(
                select(Answers.item_id, Answers.person_id, Answers.value, Answers.seconds, Tasks.order, Items.lengths)
                .join(Tasks, Tasks.id == Answers.task_id)
                .join(Items, Items.id == Answers.item_id)
                .where(Answers.project_id == project_id, Answers.role == "work", Answers.active)
                .order_by(Answers.id)
            )
        ]
        known = conn.execute(
            select(Answers.person_id, Answers.role, Answers.gold_score, Answers.seconds)
            .where(Answers.project_id == project_id, Answers.role != "work", Answers.active)
            .order_by(Answers.saved_at)
        ).all()
        members = conn.execute(
            select(People.id, People.name, Members.state, Members.paused, People.paused.label("everywhere"))
            .join(Members, Members.person_id == People.id)
            .where(Members.project_id == project_id)
            .order_by(People.name)
        ).all()
        skipped = {
            row.person_id: row.number
            for row in conn.execute(
                select(Tasks.person_id, func.count().label("number"))
                .where(Tasks.project_id == project_id, Tasks.state == "skipped")
                .group_by(Tasks.person_id)
            )
        }
        progress = _progress(conn, project_id)
    names = {row.id: row.name for row in members}
    agreed = _agreements(kind, labels, names)
    by_person: dict[int, list[_Label]] = defaultdict(list)
    for label in labels:
        by_person[label.person_id].append(label)
    shares = _shares(agreed)
    people = tuple(
        _person(
            row, kind, by_person[row.id], skipped.get(row.id, 0), [k for k in known if k.person_id == row.id], shares
        )
        for row in members
    )
    met = [each.met(target) for each in agreed]
    first, longer = _first_shown(kind, labels), _longer(kind, labels)
    return Summary(
        project_id,
        progress,
        people,
        agreed,
        target,
        None if not met or None in met else all(met),
        first,
        longer,
        _cost(labels, [k.seconds for k in known], progress, project.wage, project.gold_share),
        tuple(_warnings(kind, labels, by_person, people, agreed, first, longer, target)),
    )


def _progress(conn: Any, project_id: int) -> Progress:
    work = (Items.project_id == project_id, Items.role == "work")
    row = conn.execute(
        select(
            func.count(),
            func.coalesce(func.sum(Items.num_answers), 0),
            func.coalesce(func.sum(Items.wanted), 0),
        ).where(*work)
    ).one()
    done = conn.execute(
        select(func.count()).select_from(Items).where(*work, Items.num_answers >= Items.wanted)
    ).scalar_one()
    opened = conn.execute(
        select(func.count())
        .select_from(Tasks)
        .where(Tasks.project_id == project_id, text("tasks.state = 'open'"), Tasks.role == "work")
    ).scalar_one()
    disputed = conn.execute(
        select(func.count()).select_from(Items).where(Items.project_id == project_id, text("items.dispute > 0"))
    ).scalar_one()
    decided = conn.execute(
        select(func.count()).select_from(Verdicts).where(Verdicts.project_id == project_id)
    ).scalar_one()
    return Progress(row[0], done, int(row[1]), int(row[2]), opened, disputed, decided)


# ── agreement ────────────────────────────────────────────────────────────────────────────────────────────────────────


def _agreements(kind: Kind[Any], labels: Iterable[_Label], names: dict[int, str]) -> tuple[Agreement, ...]:
    """For each thing that the kind asks, over the parts that two people or more were asked."""
    questions: dict[str, Question] = {}
    index: dict[int, int] = {}
    for label in labels:
        place = index.setdefault(label.item_id, len(index))
        for (name, *part), value in kind.units(label.value).items():
            question = questions.setdefault(str(name), Question(str(name), kind.level))
            question.add((place, *(int(p) for p in part)), names[label.person_id], value)
    places = [Place(f"item {item_id}", "") for item_id in index]
    made = []
    for question in questions.values():
        values = {value for told in question.said.values() for value in told.values()}
        if len(values) > MOST_CATEGORIES and kind.level == "ordinal":
            question.level = "interval"
        found = of_question(question, places)
        if found is not None:
            made.append(found)
    return tuple(made)


def _shares(agreed: Sequence[Agreement]) -> dict[str, tuple[int, float | None]]:
    """name -> (shared parts, the mean share of others who say the same), over all that was asked."""
    found: dict[str, list[tuple[int, float]]] = defaultdict(list)
    for each in agreed:
        for annotator in each.annotators:
            if annotator.same is not None:
                found[annotator.name].append((annotator.num_shared, annotator.same))
    return {
        name: (sum(n for n, _ in all_), sum(n * same for n, same in all_) / sum(n for n, _ in all_))
        for name, all_ in found.items()
    }


# ── people ───────────────────────────────────────────────────────────────────────────────────────────────────────────


def _person(
    row: Any,
    kind: Kind[Any],
    labels: list[_Label],
    num_skipped: int,
    known: list[Any],
    shares: dict[str, tuple[int, float | None]],
) -> PersonQuality:
    gold = [k.gold_score for k in known if k.role == "gold"]
    test = [k.gold_score for k in known if k.role == "qualification"]
    num_shared, same = shares.get(row.name, (0, None))
    return PersonQuality(
        row.id,
        row.name,
        "paused" if row.everywhere is not None else row.state,
        row.everywhere or row.paused,
        len(labels),
        num_skipped,
        median(label.seconds for label in labels) if labels else None,
        num_shared,
        same,
        len(gold),
        sum(gold[-GOLD_LAST:]) / len(gold[-GOLD_LAST:]) if gold else None,
        sum(test) / len(test) if test else None,
        _first_shown(kind, labels),
        _longer(kind, labels),
    )


def _first_shown(kind: Kind[Any], labels: Iterable[_Label], level: float = 0.95) -> Bias | None:
    """How often the response that was shown first is the one put above all others."""
    hits = [
        (label.order[0] == chosen, 1 / len(label.order))
        for label in labels
        if len(label.order) > 1 and (chosen := kind.chosen(label.value)) is not None
    ]
    return _bias(hits, level)


def _longer(kind: Kind[Any], labels: Iterable[_Label], level: float = 0.95) -> Bias | None:
    """How often the longest response is the one put above all others, where one is the longest."""
    hits = []
    for label in labels:
        chosen = kind.chosen(label.value)
        if chosen is None or len(label.lengths) < 2 or label.lengths.count(max(label.lengths)) > 1:
            continue
        hits.append((label.lengths[chosen] == max(label.lengths), 1 / len(label.lengths)))
    return _bias(hits, level)


def _bias(hits: Sequence[tuple[bool, float]], level: float) -> Bias | None:
    if not hits:
        return None
    share = proportion(sum(hit for hit, _ in hits), len(hits), level=level)
    return Bias(share, sum(chance for _, chance in hits) / len(hits))


# ── money ────────────────────────────────────────────────────────────────────────────────────────────────────────────


def _cost(
    labels: Sequence[_Label], known: Sequence[float], progress: Progress, wage: float | None, gold_share: float
) -> Cost:
    hours = (sum(label.seconds for label in labels) + sum(known)) / 3600
    if not labels:
        return Cost(hours, None, None if wage is None else hours * wage, None, None)
    seconds = sum(label.seconds for label in labels) / len(labels)
    to_come = max(0, progress.num_wanted - progress.num_labels) * seconds / 3600
    if gold_share < 1:
        to_come /= 1 - gold_share
    return Cost(
        hours,
        seconds / 60,
        None if wage is None else hours * wage,
        to_come,
        None if wage is None else to_come * wage,
    )


# ── warnings ─────────────────────────────────────────────────────────────────────────────────────────────────────────


def _warnings(
    kind: Kind[Any],
    labels: list[_Label],
    by_person: dict[int, list[_Label]],
    people: Sequence[PersonQuality],
    agreed: Sequence[Agreement],
    first: Bias | None,
    longer: Bias | None,
    target: float,
) -> list[Warning]:
    found = []
    for each in agreed:
        if each.met(target) is False:
            value = each.overall[each.headline]
            found.append(
                Warning(
                    "agreement",
                    None,
                    f"people agree little on {each.name}: {each.headline} {value.value:.2f} "
                    f"({value.low:.2f} to {value.high:.2f}), and {target:g} is wanted. Are the guidelines clear?",
                )
            )
    sure = _first_shown(kind, labels, 0.99)
    if first is not None and _off(sure, FAR):
        found.append(Warning("position", None, _position(first)))
    sure = _longer(kind, labels, 0.99)
    if longer is not None and _off(sure, FAR_LENGTH):
        found.append(Warning("length", None, _length(longer)))
    if len(people) > 1:
        found += _of_one(labels, people)
    for person in people:
        mine = by_person[person.person_id]
        if person.first_shown is not None and _off(_first_shown(kind, mine, 0.99), FAR):
            found.append(Warning("position", person.name, f"{person.name}: {_position(person.first_shown)}"))
        if person.longer is not None and _off_others(
            kind, mine, [x for x in labels if x.person_id != person.person_id]
        ):
            found.append(Warning("length", person.name, f"{person.name}: {_length(person.longer)}, unlike the others"))
        found += _monotone(kind, person, mine, [x for x in labels if x.person_id != person.person_id])
    found += _alone(people)
    return found


def _off(bias: Bias | None, far: float) -> bool:
    return (
        bias is not None
        and bias.share.n >= LEAST
        and bias.expected not in bias.share
        and abs(bias.share.value - bias.expected) >= far
    )


def _position(bias: Bias) -> str:
    return (
        f"the response shown first is chosen in {bias.share.value:.0%} of {bias.share.n} choices "
        f"({bias.share.low:.0%} to {bias.share.high:.0%}), by chance it would be {bias.expected:.0%}"
    )


def _length(bias: Bias) -> str:
    return (
        f"the longest response is chosen in {bias.share.value:.0%} of {bias.share.n} choices "
        f"({bias.share.low:.0%} to {bias.share.high:.0%}), by chance it would be {bias.expected:.0%}"
    )


def _off_others(kind: Kind[Any], mine: list[_Label], others: list[_Label]) -> bool:
    """Whether a person follows length far more, or less, than the others do: that alone may be right for all."""
    ours, theirs = _longer(kind, mine, 0.99), _longer(kind, others, 0.99)
    if ours is None or ours.share.n < LEAST:
        return False
    if theirs is None or theirs.share.n < LEAST:
        return False
    apart = ours.share.low > theirs.share.high or ours.share.high < theirs.share.low
    return apart and abs(ours.share.value - theirs.share.value) >= FAR_LENGTH


def _of_one(labels: Sequence[_Label], people: Sequence[PersonQuality]) -> list[Warning]:
    """One person made most of the labels: what they like is what a model will learn."""
    number = sum(person.num_answers > 0 for person in people)
    most = max(people, key=lambda person: person.num_answers)
    share = most.num_answers / len(labels) if labels else 0.0
    if number < 2 or len(labels) < LEAST or share <= max(MUCH, 1.5 / number):
        return []
    return [
        Warning(
            "annotator",
            most.name,
            f"{most.name} gave {share:.0%} of the {len(labels)} labels: a model will learn what {most.name} likes",
        )
    ]


def _monotone(
    kind: Kind[Any], person: PersonQuality, mine: Sequence[_Label], others: Sequence[_Label]
) -> list[Warning]:
    """Nearly always the same, where the others vary."""

    def usual(labels: Sequence[_Label]) -> tuple[str | float, int, int] | None:
        said = Counter(value for label in labels for value in kind.units(label.value).values())
        if not said:
            return None
        value, times = said.most_common(1)[0]
        return value, times, said.total()

    ours, theirs = usual(mine), usual(others)
    if ours is None or theirs is None or min(ours[2], theirs[2]) < LEAST:
        return []
    if ours[1] / ours[2] < 0.9 or theirs[1] / theirs[2] > 0.8:
        return []
    return [
        Warning(
            "annotator",
            person.name,
            f"{person.name} says {ours[0]!r} in {ours[1] / ours[2]:.0%} of {ours[2]} cases; "
            f"the others' most frequent answer is {theirs[1] / theirs[2]:.0%} of theirs",
        )
    ]


def _alone(people: Sequence[PersonQuality]) -> list[Warning]:
    """Who agrees far less with the others than those do."""
    judged = [p for p in people if p.agreement is not None and p.num_shared >= LEAST_SHARED]
    found = []
    for person in judged:
        rest = [p for p in judged if p is not person]
        if len(rest) < 2 or person.agreement is None:
            continue
        usual = median(p.agreement or 0.0 for p in rest)
        sure = proportion(round(person.agreement * person.num_shared), person.num_shared, level=0.99)
        if sure.high < usual and usual - person.agreement >= FAR:
            found.append(
                Warning(
                    "annotator",
                    person.name,
                    f"{person.name} says what others say in {person.agreement:.0%} of {person.num_shared} cases; "
                    f"with the others it is {usual:.0%}",
                )
            )
    return found
