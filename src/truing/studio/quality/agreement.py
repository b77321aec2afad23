"""How far people agree: live, by the measures of `truing feedback agreement`."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import Any

from truing.feedback.agreement.ratings import Place, Question
from truing.feedback.agreement.report import MOST_CATEGORIES, Agreement, of_question
from truing.studio.kinds import Kind
from truing.studio.quality.labels import Label

__all__ = ["agreements_of", "shares_of"]


def agreements_of(kind: Kind[Any], labels: Iterable[Label], names: dict[int, str]) -> tuple[Agreement, ...]:
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


def shares_of(agreed: Sequence[Agreement]) -> dict[str, tuple[int, float | None]]:
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
