"""Where something other than the texts explains the labels.

An interval here holds the truth in 99 of 100 cases, elsewhere in 95: otherwise a project of twenty people would be
warned of one of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from statistics import median
from typing import Any

from truing.evaluate.intervals import proportion
from truing.feedback.agreement.report import Agreement
from truing.studio.kinds import Kind
from truing.studio.quality.bias import Bias, first_shown_bias, longest_bias
from truing.studio.quality.labels import Label
from truing.studio.quality.people import PersonQuality

__all__ = ["Warning", "warnings_of"]

SURE = 0.99
"""Of the intervals here."""
LEAST = 30
"""Choices that a bias is judged by."""
FAR = 0.1
"""A share nearer than this to what it should be is not worth a warning, however sure it is."""
FAR_LENGTH = 0.15
"""Longer answers may well be better, so more is needed here."""
LEAST_SHARED = 20
"""Shared parts of answers that somebody's agreement is judged by."""
MUCH = 0.5
"""The share of all labels that may come from one person."""


@dataclass(frozen=True, slots=True)
class Warning:
    """`what`: position, length, annotator, agreement. `person`: whom it is about, None = the project."""

    what: str
    person: str | None
    text: str


def warnings_of(
    kind: Kind[Any],
    labels: Sequence[Label],
    by_person: Mapping[int, Sequence[Label]],
    people: Sequence[PersonQuality],
    agreed: Sequence[Agreement],
    first_shown: Bias | None,
    longest: Bias | None,
    target: float,
) -> list[Warning]:
    """What somebody should look at: first of all people together, then of each."""
    found = [_little_agreement(each, target) for each in agreed if each.met(target) is False]
    if first_shown is not None and _off(first_shown_bias(kind, labels, SURE), FAR):
        found.append(Warning("position", None, _chosen("the response shown first", first_shown)))
    if longest is not None and _off(longest_bias(kind, labels, SURE), FAR_LENGTH):
        found.append(Warning("length", None, _chosen("the longest response", longest)))
    if len(people) > 1:
        found += _of_one(labels, people)
    for person in people:
        mine = by_person[person.person_id]
        others = [label for label in labels if label.person_id != person.person_id]
        if person.first_shown is not None and _off(first_shown_bias(kind, mine, SURE), FAR):
            said = _chosen("the response shown first", person.first_shown)
            found.append(Warning("position", person.name, f"{person.name}: {said}"))
        if person.longer is not None and _off_others(kind, mine, others):
            said = _chosen("the longest response", person.longer)
            found.append(Warning("length", person.name, f"{person.name}: {said}, unlike the others"))
        found += _monotone(kind, person, mine, others)
    return found + _alone(people)


def _little_agreement(each: Agreement, target: float) -> Warning:
    value = each.overall[each.headline]
    return Warning(
        "agreement",
        None,
        f"people agree little on {each.name}: {each.headline} {value.value:.2f} "
        f"({value.low:.2f} to {value.high:.2f}), and {target:g} is wanted. Are the guidelines clear?",
    )


def _off(bias: Bias | None, far: float) -> bool:
    return (
        bias is not None
        and bias.share.n >= LEAST
        and bias.expected not in bias.share
        and abs(bias.share.value - bias.expected) >= far
    )


def _chosen(which: str, bias: Bias) -> str:
    return (
        f"{which} is chosen in {bias.share.value:.0%} of {bias.share.n} choices "
        f"({bias.share.low:.0%} to {bias.share.high:.0%}), by chance it would be {bias.expected:.0%}"
    )


def _off_others(kind: Kind[Any], mine: Sequence[Label], others: Sequence[Label]) -> bool:
    """Whether a person follows length far more, or less, than the others do: that alone may be right for all."""
    ours, theirs = longest_bias(kind, mine, SURE), longest_bias(kind, others, SURE)
    if ours is None or ours.share.n < LEAST:
        return False
    if theirs is None or theirs.share.n < LEAST:
        return False
    apart = ours.share.low > theirs.share.high or ours.share.high < theirs.share.low
    return apart and abs(ours.share.value - theirs.share.value) >= FAR_LENGTH


def _of_one(labels: Sequence[Label], people: Sequence[PersonQuality]) -> list[Warning]:
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


def _monotone(kind: Kind[Any], person: PersonQuality, mine: Sequence[Label], others: Sequence[Label]) -> list[Warning]:
    """Nearly always the same, where the others vary."""

    def usual(labels: Sequence[Label]) -> tuple[str | float, int, int] | None:
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
        sure = proportion(round(person.agreement * person.num_shared), person.num_shared, level=SURE)
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
