"""Groups -> who said what of what, question by question: what the coefficients are computed on.

    preference    a ranking of two: first, second or a tie
    ranking       a ranking of more: for every two responses that somebody placed which one is better
    thumbs        up or down, a response
    steps         right, neutral or wrong, a step; between them where somebody gave a probability
    an aspect     its scores, a response
    other         what the column `other_answers` holds of labelling tools: one word, an item and question

Rows about the same prompt and responses are one item, in whatever order they show the responses. Of a person who
judges the same thing twice the first judgement counts, and how often the second is the same is counted.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from truing.errors import DataError
from truing.feedback.agreement.coefficients import Level
from truing.feedback.formats.cells import number, shown
from truing.feedback.stats import fingerprint
from truing.group import Critique, Feedback, Group, Labels, Ranking, Scores, StepLabels

__all__ = ["Place", "Question", "Ratings", "of_columns", "of_groups"]

Located = tuple[str, Group]
_EXCERPT = 60
MOST_RANKED = 200
"""Responses of the longest ranking that is taken apart into its pairs."""
_PAIR = {1: "first", 0: "tie", -1: "second"}
_THUMB = {True: "up", False: "down"}
_STEP = {1: "right", 0: "neutral", -1: "wrong"}


@dataclass(frozen=True, slots=True)
class Place:
    """Where an item was met first, the beginning of its prompt, and its value in the column that `by` names."""

    where: str
    excerpt: str
    by: str | None = None


@dataclass(slots=True)
class Question:
    """One thing that was asked of many items: `said[item][annotator]` is the answer.

    An item is `(cluster, ...)`: `cluster` is the group that it belongs to, an index of `Ratings.places`.
    """

    name: str
    level: Level
    """The most that may be made of the values: `ordinal` categories are ordered, `interval` ones are numbers."""
    words: Mapping[Any, str] = field(default_factory=dict)
    """What the values are called, where they are codes."""
    said: dict[tuple[int, ...], dict[str, Any]] = field(default_factory=dict)
    num_repeats: int = 0
    num_repeats_alike: int = 0

    def add(self, item: tuple[int, ...], annotator: str, value: Any) -> None:
        told = self.said.setdefault(item, {})
        if annotator in told:
            self.num_repeats += 1
            self.num_repeats_alike += told[annotator] == value
        else:
            told[annotator] = value

    def word(self, value: Any) -> str:
        """A value as people call it."""
        return self.words.get(value, f"{value:g}" if isinstance(value, float) else str(value))


@dataclass(slots=True)
class Ratings:
    """All questions of a file, the places of its items, and what could not be used."""

    questions: dict[Hashable, Question] = field(default_factory=dict)
    places: list[Place] = field(default_factory=list)
    num_groups: int = 0
    left_out: Counter[str] = field(default_factory=Counter)
    """Why feedback says nothing of agreement, and how often."""

    def question(self, key: Hashable, name: str, level: Level, words: Mapping[Any, str] | None = None) -> Question:
        if key not in self.questions:
            self.questions[key] = Question(name, level, words or {})
        return self.questions[key]


def _excerpt(text: str) -> str:
    line = " ".join(text[: 4 * _EXCERPT].split())
    printable = "".join(c if c.isprintable() else "?" for c in line)
    return printable if len(printable) <= _EXCERPT else printable[: _EXCERPT - 1] + "…"


def _said_by(group: Group, column: str | None) -> str | None:
    if column is None or group.columns.get(column) is None:
        return None
    value = group.columns[column]
    return _excerpt(value if isinstance(value, str) else shown(value))


def of_groups(groups: Iterable[Located], *, item: str | None = None, by: str | None = None) -> Ratings:
    """The ratings of a file. `item` names a column that tells apart items of the same texts; `by` one by which
    disagreement is broken down. Holds 16 bytes a text and not the texts."""
    made = Ratings()
    known: dict[Hashable, tuple[int, list[bytes]]] = {}
    wanted = {name for name in (item, by) if name}
    columns: dict[str, None] = {}
    for where, group in groups:
        made.num_groups += 1
        columns |= dict.fromkeys(group.columns)
        marks = [fingerprint(response) for response in group.responses]
        key = fingerprint(group.prompt, sorted(marks), group.columns.get(item) if item else None)
        if key not in known:
            known[key] = (len(made.places), marks)
            made.places.append(Place(where, _excerpt(group.prompt.text), _said_by(group, by)))
        cluster, first = known[key]
        # places[i] is where the i-th response of this row stands in the item's first row.
        places = list(_matched(marks, first))
        for said in group.feedback:
            _add(made, said, cluster, places, marks)
        _add_others(made, group.columns.get("other_answers"), cluster)
    for name in sorted(wanted - columns.keys()):
        raise DataError(f"no row has the column `{name}`", remedy=f"Columns: {', '.join(columns) or 'none'}.")
    return made


def _add_others(made: Ratings, value: Any, cluster: int) -> None:
    """The answers of labelling tools that are no feedback; long ones are remarks, and words are not compared."""
    for other in value if isinstance(value, list) else []:
        if not isinstance(other, dict) or not {"question", "annotator_id", "value"} <= set(other):
            made.left_out["of `other_answers` without question, annotator_id or value"] += 1
            continue
        name, who, told = str(other["question"]), other["annotator_id"], other["value"]
        if who is None:
            made.left_out["without `annotator_id`: nobody knows who said it"] += 1
        elif isinstance(told, (int, float)) and not isinstance(told, bool):
            made.question((name, "number"), name, "interval").add((cluster,), str(who), float(told))
        elif isinstance(told, str) and len(told) <= _EXCERPT:
            made.question((name, "word"), name, "nominal").add((cluster,), str(who), told)
        else:
            made.left_out[f"answers to `{_excerpt(name)}`: words are not compared"] += 1


def _matched(marks: Sequence[bytes], first: Sequence[bytes]) -> Iterator[int]:
    left: dict[bytes, list[int]] = {}
    for index, mark in reversed(list(enumerate(first))):
        left.setdefault(mark, []).append(index)
    for mark in marks:
        yield left[mark].pop()


def _add(made: Ratings, said: Feedback, cluster: int, places: Sequence[int], marks: Sequence[bytes]) -> None:
    who = said.annotator_id
    if isinstance(said, Critique):
        made.left_out["critiques: words are not compared"] += 1
        return
    if who is None:
        made.left_out["without `annotator_id`: nobody knows who said it"] += 1
        return
    match said:
        case Ranking(ranks=ranks):
            _add_ranking(made, ranks, who, cluster, places, marks)
        case Labels(values=values):
            question = made.question("thumbs", "thumbs", "nominal", _THUMB)
            for place, value in zip(places, values, strict=True):
                if value is not None:
                    question.add((cluster, place), who, value)
        case StepLabels(values=rows):
            question = made.question("steps", "steps", "ordinal", _STEP)
            if said.soft:
                question.level = "interval"
            for place, row in zip(places, rows, strict=True):
                for step, mark in enumerate(row):
                    if mark is not None:
                        question.add((cluster, place, step), who, mark)
        case Scores(values=aspects, scale=scale):
            for aspect, scores in aspects.items():
                span = f" ({scale[0]:g}..{scale[1]:g})" if scale else ""
                question = made.question((aspect, scale), f"score {aspect}{span}", "interval")
                for place, score in zip(places, scores, strict=True):
                    if score is not None:
                        question.add((cluster, place), who, float(score))


def _add_ranking(
    made: Ratings,
    ranks: Sequence[int | None],
    who: str,
    cluster: int,
    places: Sequence[int],
    marks: Sequence[bytes],
) -> None:
    name = "preference" if len(ranks) == 2 else "ranking"
    placed = sorted(
        (place, rank, mark) for place, rank, mark in zip(places, ranks, marks, strict=True) if rank is not None
    )
    if len(placed) > MOST_RANKED:
        made.left_out[f"rankings of more than {MOST_RANKED}"] += 1
        return
    question = made.question(name, name, "ordinal", _PAIR)
    for index, (one, rank, mark) in enumerate(placed):
        for other, behind, text in placed[index + 1 :]:
            if mark == text:
                made.left_out["comparisons of two equal responses"] += 1
            else:
                question.add((cluster, one, other), who, (behind > rank) - (behind < rank))


def of_columns(
    rows: Iterable[tuple[str, Mapping[str, Any]]], columns: Sequence[str], level: Level, *, by: str | None = None
) -> Ratings:
    """The ratings of a plain table: a row an item, a column an annotator. A blank cell is a missing rating."""
    made = Ratings()
    question = made.question("columns", " / ".join(columns), level)
    for where, row in rows:
        made.num_groups += 1
        for name in (*columns, *([by] if by else [])):
            if name not in row:
                listed = ", ".join(map(str, list(row)[:20]))
                raise DataError(f"there is no column `{name}`", where=where, remedy=f"Its columns: {listed}.")
        texts = [value for name, value in row.items() if name not in columns and isinstance(value, str)]
        label = row.get(by) if by else None
        made.places.append(
            Place(where, _excerpt(texts[0] if texts else ""), None if label is None else _excerpt(str(label)))
        )
        for name in columns:
            if (value := _cell(row[name], name, level, where)) is not None:
                question.add((len(made.places) - 1,), name, value)
    return made


def _cell(value: Any, column: str, level: Level, where: str) -> Any:
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    if level != "nominal":
        return number(value, column, where)  # words have no order that is seen from outside
    if not isinstance(value, (str, int, float)):
        raise DataError(
            f"column `{column}` holds {shown(value)}", where=where, remedy="A rating is a word, a number or true/false."
        )
    return value
