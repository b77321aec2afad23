"""What labelling tools have in common: people's answers to named questions, each about one response or about all.

`Sheet` makes feedback of one person's answers, `answers_of` makes answers of feedback. Columns of the groups:

    `other_answers`  answers that have no place in feedback (a topic, a remark on both): question, annotator_id, value
    `skipped_by`     who left the task out, or sent nothing; null where nobody knows who
    `predictions`    what models said, as objects of format `group`: shown to people, and nobody's judgement

A field `rating_scale`, [lowest, highest], is the scale of all ratings: the tools' files do not say it themselves.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Literal

from truing.errors import DataError
from truing.feedback.formats import group as any_group
from truing.feedback.formats.base import unfit
from truing.feedback.formats.cells import Row, build, items, number, response, shown, structured
from truing.feedback.formats.fields import Fields, spoken
from truing.group import Critique, Feedback, Group, Labels, Ranking, Response, Scores, StepLabels

__all__ = [
    "Answer",
    "Sheet",
    "answers_of",
    "as_predictions",
    "column_of",
    "columns_beside",
    "common_scale",
    "others_of",
    "predicted",
    "question_name",
    "scale_of",
    "wrong_answer",
]

MOST_NAME = 200
"""Characters of the longest name of a question."""
_TIE = {"tie", "same", "equal", "both", "both good", "both bad", "neither", "no preference", "draw"}
_FIRST = {"left", "first", "a", "1"}
_SECOND = {"right", "second", "b", "2"}
# Yes and no are not among them: they answer any question.
_UP = {"up", "good", "correct", "accept", "accepted", "like", "thumbs up", "thumbs_up", "👍"}
_DOWN = {"down", "bad", "incorrect", "wrong", "reject", "rejected", "dislike", "thumbs down", "thumbs_down", "👎"}
_EDITS = ("edit", "correct", "revis", "rewrit")


def wrong_answer(question: str, value: Any, where: str, remedy: str) -> DataError:
    """An answer is not what its question asks for."""
    return DataError(f"the answer to `{question}` is {shown(value)}", where=where, remedy=remedy)


def question_name(value: Any, default: str, where: str) -> str:
    """What a question is called."""
    if value is None:
        return default
    if not isinstance(value, str) or len(value) > MOST_NAME:
        raise DataError(
            f"a question is called {shown(value)}", where=where, remedy=f"A name, {MOST_NAME} characters at most."
        )
    return value


# ---- answers ---------------------------------------------------------------------------------------------------------

Kind = Literal["ranking", "strength", "margin", "score", "thumb", "critique", "edit"]


@dataclass(frozen=True, slots=True)
class Answer:
    """One answer of one person: `value` is ranks, a number, true or false, or text; `index` the response, if one."""

    kind: Kind
    value: Any
    index: int = 0
    aspect: str = ""


def answers_of(said: Feedback, group: Group, format: str) -> list[Answer]:
    """Feedback as answers. `DataError` where something would be lost."""
    match said:
        case Ranking(ranks=ranks, strength=strength, margin=margin):
            if not any(ranks) or (len(ranks) == 2 and None in ranks):
                raise unfit(format, "a ranking that leaves a pair, or all, unranked")
            about: list[Answer] = [] if strength is None else [Answer("strength", strength)]
            about += [] if margin is None else [Answer("margin", margin)]
            return [Answer("ranking", ranks), *about]
        case Scores(values=aspects):
            silent = [aspect for aspect, values in aspects.items() if all(v is None for v in values)]
            if silent:
                raise unfit(format, f"the aspect `{silent[0]}` without a score")
            return [
                Answer("score", value, index, aspect)
                for aspect, values in aspects.items()
                for index, value in enumerate(values)
                if value is not None
            ]
        case Labels(values=thumbs):
            found = [Answer("thumb", value, index) for index, value in enumerate(thumbs) if value is not None]
        case Critique(texts=texts, edits=edits):
            if edits and all(edit is None for edit in edits):
                raise unfit(format, "a critique with edits, all of them empty,")
            found = [Answer("critique", text, index) for index, text in enumerate(texts) if text is not None]
            found += [Answer("edit", spoken(e, format), index) for index, e in enumerate(edits) if e is not None]
        case StepLabels():
            raise unfit(format, "marks on steps", "Formats `stepwise` and `group` hold steps.")
    if not found:
        raise unfit(format, f"{type(said).__name__} that say nothing")
    return found


def columns_beside(
    row: Row,
    fields: Fields,
    read: Iterable[str],
    *,
    number: str,
    others: list[Any],
    skipped: list[Any],
    guessed: list[Any],
) -> dict[str, Any]:
    """What a group keeps of a row besides prompt, responses and feedback: all that is not in `read`, nothing dropped.

    The row's `id` becomes column `number`, where it has one.
    """
    columns = {name: value for name, value in fields.rest.items() if name != "rating_scale"}
    for name in row:
        if name not in read:
            columns.setdefault(name, row[name])
    if row.get("id") is not None:
        columns.setdefault(number, row["id"])
    for name, kept in (("other_answers", others), ("skipped_by", skipped), ("predictions", guessed)):
        if kept:
            columns[name] = [*(columns.get(name) or []), *kept]
    return columns


def common_scale(feedback: Iterable[Feedback], format: str) -> tuple[float, float] | None:
    """The scale of all scores."""
    scales = {said.scale for said in feedback if isinstance(said, Scores)}
    if len(scales) > 1:
        raise unfit(format, "scores on several scales")
    return scales.pop() if scales else None


@dataclass(slots=True)
class Sheet:
    """What one person answered about one task, put together as feedback in the order in which it was answered."""

    fields: Fields
    where: str
    scale: tuple[float, float] | None = None
    order: list[str] = field(default_factory=list)
    ranks: tuple[int | None, ...] | None = None
    strength: float | None = None
    margin: float | None = None
    scores: dict[str, list[float | None]] = field(default_factory=dict)
    thumbs: dict[int, bool] = field(default_factory=dict)
    texts: dict[int, str] = field(default_factory=dict)
    edits: dict[int, str] = field(default_factory=dict)
    others: list[tuple[str, Any]] = field(default_factory=list)
    """(question, value) of answers that have no place in feedback."""

    def _first(self, kind: str) -> None:
        if kind not in self.order:
            self.order.append(kind)

    def _twice(self, question: str) -> DataError:
        return DataError(
            f"`{question}` is answered twice by one person", where=self.where, remedy="Keep the answer that counts."
        )

    def rank(self, question: str, ranks: tuple[int | None, ...]) -> None:
        if self.ranks is not None:
            raise self._twice(question)
        self._first("ranking")
        self.ranks = ranks

    def order_of(self, question: str, places: Sequence[Sequence[Any]]) -> None:
        """The names of the responses, place by place."""
        ranks: list[int | None] = [None] * len(self.fields.responses)
        for place, names in enumerate(places, 1):
            for name in names:
                index = self.fields.ids.get(name) if isinstance(name, str) else None
                if index is None:
                    known = ", ".join(list(self.fields.ids)[:20])
                    raise wrong_answer(question, name, self.where, f"It should name a response: {known}.")
                if ranks[index] is not None:
                    raise DataError(
                        f"`{question}` ranks {shown(name)} twice", where=self.where, remedy="Rank each once."
                    )
                ranks[index] = place
        if any(ranks):
            self.rank(question, tuple(ranks))

    def score(self, question: str, name: Any, value: Any) -> None:
        """A number about a response: a score; without one the strength or margin of the comparison, or another."""
        given_number = number(value, question, self.where)
        if question == "strength" and len(self.fields.responses) == 2:
            self.strength = given_number
            return
        if question == "margin" and len(self.fields.responses) == 2:
            self.margin = given_number
            return
        aspect, index = self._about(question, name)
        if index is None:
            self.others.append((question, given_number))
            return
        values = self.scores.setdefault(aspect, [None] * len(self.fields.responses))
        if values[index] is not None:
            raise self._twice(question)
        self._first("scores")
        values[index] = given_number

    def choose(self, question: str, name: Any, value: Any) -> None:
        """A word: up or down about a response; first, second or a tie about two; else kept beside the feedback."""
        words = value if isinstance(value, list) else [value]
        if not words or not all(isinstance(word, str) for word in words):
            raise wrong_answer(question, value, self.where, "It should be text.")
        word = words[0].strip().lower()
        _, index = self._about(question, name)
        if len(words) == 1 and index is not None and word in _UP | _DOWN:
            if index in self.thumbs:
                raise self._twice(question)
            self._first("labels")
            self.thumbs[index] = word in _UP
        elif len(words) == 1 and len(self.fields.responses) == 2 and (ranks := self._preferred(words[0])):
            self.rank(question, ranks)
        else:
            self.others.append((question, words[0] if len(words) == 1 else words))

    def is_label(self, question: str, word: str) -> bool:
        """Whether a word is a thumb about a response, or a preference of two."""
        _, index = self._about(question, None)
        if index is not None and word.strip().lower() in _UP | _DOWN:
            return True
        return index is None and len(self.fields.responses) == 2 and self._preferred(word) is not None

    def _preferred(self, word: str) -> tuple[int, int] | None:
        lower = word.strip().lower()
        if word in self.fields.ids:
            return (1, 2) if self.fields.ids[word] == 0 else (2, 1)
        return (1, 1) if lower in _TIE else (1, 2) if lower in _FIRST else (2, 1) if lower in _SECOND else None

    def write(self, question: str, name: Any, value: Any) -> None:
        """Words about a response: an edit of it where the question is called so, else a critique."""
        lines = value if isinstance(value, list) else [value]
        if not lines or not all(isinstance(line, str) for line in lines):
            raise wrong_answer(question, value, self.where, "It should be text.")
        text = "\n".join(lines)
        response(text, question, self.where)  # refuses half characters
        aspect, index = self._about(question, name)
        if index is None:
            self.others.append((question, text))
        elif aspect.lower().startswith(_EDITS):
            if index in self.edits:
                raise self._twice(question)
            self._first("critique")
            self.edits[index] = text
        else:
            self._first("critique")
            # Several remarks on one response are one critique.
            self.texts[index] = f"{self.texts[index]}\n\n{text}" if index in self.texts else text

    def _about(self, question: str, name: Any) -> tuple[str, int | None]:
        """(the question without the response's name, the response): `clear_answer2` is `clear` of the second."""
        index = self.fields.index(name)
        for own in self.fields.names:
            for mark in ("_", "-", ":"):
                if question.endswith(f"{mark}{own}"):
                    return question.removesuffix(f"{mark}{own}"), self.fields.ids[own]
        return question, index

    def feedback(self, who: str | None) -> list[Feedback]:
        size = len(self.fields.responses)
        if (self.strength, self.margin) != (None, None) and self.ranks is None:
            raise DataError(
                "a strength or margin without a preference", where=self.where, remedy="Say which is preferred, too."
            )
        made: list[Feedback] = []
        for kind in self.order:
            if kind == "ranking":
                made.append(build(self.where, Ranking, self.ranks or (), self.strength, self.margin, who))
            elif kind == "scores":
                values = {aspect: tuple(each) for aspect, each in self.scores.items()}
                made.append(build(self.where, Scores, values, self.scale, who))
            elif kind == "labels":
                made.append(Labels(tuple(self.thumbs.get(i) for i in range(size)), who))
            else:
                edits = tuple(Response.of(self.edits[i]) if i in self.edits else None for i in range(size))
                texts = tuple(self.texts.get(i) for i in range(size))
                made.append(Critique(texts, edits if self.edits else (), who))
        return made


# ---- predictions -----------------------------------------------------------------------------------------------------


def as_predictions(group: Group) -> Group:
    """The group with its feedback as what models predict: shown to people by the tool, and judged by nobody.

    The model's name is the `annotator_id`.
    """
    before = group.columns.get("predictions") or []
    made = [*before, *(any_group.as_feedback(said) for said in group.feedback)]
    return replace(group, feedback=(), columns={**group.columns, "predictions": made})


def predicted(group: Group, format: str) -> tuple[Feedback, ...]:
    """The column `predictions` as feedback."""
    value = group.columns.get("predictions")
    if value is None:
        return ()
    try:
        found = tuple(any_group.as_said(each, "") for each in items({"predictions": value}, "predictions", ""))
        Group(group.prompt, group.responses, found)
    except (DataError, ValueError) as error:
        raise unfit(format, f"the column `predictions` ({error})", "It lists feedback as in format `group`.") from None
    return found


def others_of(sheet: Sheet, who: str | None) -> list[dict[str, Any]]:
    """The answers of one person for the column `other_answers`."""
    return [{"question": question, "annotator_id": who, "value": value} for question, value in sheet.others]


def column_of(row: Row, column: str, where: str) -> Any:
    """A list or object that may be missing."""
    value = row.get(column)
    if value is None or (isinstance(value, str) and not value.strip()):
        return None
    return structured(row, column, where)


def scale_of(values: Mapping[str, Any], where: str) -> tuple[float, float] | None:
    """The column `rating_scale`."""
    if values.get("rating_scale") is None:
        return None
    ends = [number(end, "rating_scale", where) for end in items(values, "rating_scale", where)]
    if len(ends) != 2 or not ends[0] < ends[1]:
        raise wrong_answer("rating_scale", ends, where, "It should be [lowest, highest].")
    return ends[0], ends[1]
