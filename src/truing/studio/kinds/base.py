"""A kind of task: the form that a person fills in, and what the answer means.

A kind is one file with one class and one line, `KIND = ...()`; `kinds/__init__.py` lists it. An answer is a JSON
object in the item's own order of responses, whatever order the person was shown.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Generic, Literal, TypeVar

from pydantic import BaseModel, ConfigDict, StrictStr, ValidationError

from truing.group import Feedback, Group
from truing.studio.errors import AnswerError

__all__ = ["Answer", "Form", "Kind", "KindSettings", "Level", "S", "Units", "share", "text_or_none"]

Answer = dict[str, Any]
Level = Literal["nominal", "ordinal", "interval"]
Units = dict[tuple[str | int, ...], str | float]
"""(what was asked, then of which response or step) -> what was said."""

MAX_TEXT = 200_000
"""Characters of a comment, a critique or an edit."""


class KindSettings(BaseModel):
    """What of a kind can be set for a project."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Form(BaseModel):
    """The answer's JSON, strictly typed: `"1"` is no number and `1` no truth."""

    model_config = ConfigDict(extra="forbid", strict=True)


S = TypeVar("S", bound=KindSettings)


class Kind(ABC, Generic[S]):
    """What the studio asks of a kind. All methods are pure.

    `min_responses..max_responses` is how many responses an item may have. `level` is the scale that `units` are on.
    `gold` says whether an answer can be marked against a known one.
    """

    name: ClassVar[str]
    title: ClassVar[str]
    min_responses: ClassVar[int]
    max_responses: ClassVar[int]
    level: ClassVar[Level] = "nominal"
    gold: ClassVar[bool] = True
    Settings: ClassVar[type[KindSettings]]

    def settings(self, given: Mapping[str, Any] | None = None) -> S:
        """Validated settings; what is not given has its default."""
        try:
            return self.Settings.model_validate(dict(given or {}))  # type: ignore[return-value]
        except ValidationError as error:
            raise AnswerError(
                first_fault(error),
                where=f"settings of kind `{self.name}`",
                remedy=f"Settings: {', '.join(self.Settings.model_fields) or 'there are none'}.",
            ) from None

    @abstractmethod
    def check(self, answer: Mapping[str, Any], group: Group, settings: S) -> Answer:
        """The answer, every field filled in; `AnswerError` says what is wrong with it."""

    @abstractmethod
    def feedback(self, answer: Answer, group: Group, annotator_id: str | None, settings: S) -> tuple[Feedback, ...]:
        """What it says, as feedback on the group's responses in their own order."""

    @abstractmethod
    def units(self, answer: Answer) -> Units:
        """What agreement is computed on: each part of the answer that another person would also have filled in."""

    def score_gold(self, answer: Answer, gold: Answer) -> float:
        """0..1: how much of the known answer this one says."""
        raise AssertionError(f"kind {self.name} has no known answers")

    def groups(self, group: Group, said: Sequence[tuple[str | None, Answer]], settings: S) -> list[Group]:
        """The item with what people (annotator id, answer) said. Most kinds: one group."""
        found = tuple(f for who, answer in said for f in self.feedback(answer, group, who, settings))
        return [replace(group, feedback=(*group.feedback, *found))]

    def chosen(self, answer: Answer) -> int | None:
        """The one response that is put above all others, if there is one: what position and length are held against."""
        return None

    def check_group(self, group: Group) -> None:
        """`AnswerError` for an item that this kind cannot ask about."""
        number = len(group.responses)
        if not self.min_responses <= number <= self.max_responses:
            wanted = (
                str(self.min_responses)
                if self.min_responses == self.max_responses
                else f"{self.min_responses} to {self.max_responses}"
            )
            raise AnswerError(
                f"it has {number} responses, and kind `{self.name}` asks about {wanted}",
                remedy="Choose another kind for the project, or leave the row out.",
            )

    def parse(self, form: type[F], answer: Mapping[str, Any]) -> F:
        """The answer as its form, or `AnswerError`."""
        try:
            return form.model_validate(dict(answer))
        except ValidationError as error:
            raise AnswerError(first_fault(error), where=f"answer of kind `{self.name}`") from None

    def refuse(self, found: str, remedy: str | None = None) -> AnswerError:
        """The error of an answer that cannot be meant."""
        return AnswerError(found, where=f"answer of kind `{self.name}`", remedy=remedy)

    def sized(self, values: Sequence[Any], size: int, name: str) -> None:
        """`AnswerError` unless there is one value for each response."""
        if len(values) != size:
            raise self.refuse(f"`{name}` has {len(values)} entries and the item {size} responses", "One for each.")


F = TypeVar("F", bound=Form)


def first_fault(error: ValidationError) -> str:
    """The first thing that pydantic found, with its place."""
    fault = error.errors(include_url=False, include_input=False)[0]
    place = ".".join(map(str, fault["loc"]))
    return f"`{place}`: {fault['msg']}" if place else str(fault["msg"])


def text_or_none(text: StrictStr | None, kind: Kind[Any], name: str) -> str | None:
    """Text that says something, or None."""
    if text is None or not text.strip():
        return None
    if len(text) > MAX_TEXT:
        raise kind.refuse(f"`{name}` has {len(text):,} characters", f"At most {MAX_TEXT:,}.")
    return text


def share(agreed: Sequence[float]) -> float:
    """The mean, and 1 of nothing: a known answer that says nothing contradicts nobody."""
    return sum(agreed) / len(agreed) if agreed else 1.0
