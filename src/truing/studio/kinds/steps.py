"""Marks on the steps of a reasoning: good, neutral, bad; or just where the first error is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from truing.group import Feedback, Group, Response, StepLabels
from truing.studio.errors import AnswerError
from truing.studio.kinds.base import Answer, Form, Kind, KindSettings, Units, share, text_or_none

__all__ = ["KIND", "steps_of"]


class StepsSettings(KindSettings):
    """With `first_error_only` a click on the first wrong step is the whole answer."""

    first_error_only: bool = False
    comment: bool = True


class StepsForm(Form):
    marks: list[list[int | None]]
    first_error: list[int | None] | None = None
    comment: str | None = None


def steps_of(response: Response) -> tuple[str, ...]:
    """The response's own cut into steps; without one, its lines that are not blank."""
    return response.steps or tuple(line for line in response.text.split("\n") if line.strip())


class Steps(Kind[StepsSettings]):
    """`first_error[i]` is the index of the first wrong step of response i, None = there is none, or it is not said."""

    name = "steps"
    title = "Mark the steps"
    min_responses = 1
    max_responses = 8
    level = "ordinal"
    Settings: ClassVar[type[KindSettings]] = StepsSettings

    def check_group(self, group: Group) -> None:
        super().check_group(group)
        if not all(steps_of(response) for response in group.responses):
            raise AnswerError("a response has no step", remedy="Leave the row out.")

    def check(self, answer: Mapping[str, Any], group: Group, settings: StepsSettings) -> Answer:
        form = self.parse(StepsForm, answer)
        size = len(group.responses)
        self.sized(form.marks, size, "marks")
        for index, (marks, response) in enumerate(zip(form.marks, group.responses, strict=True)):
            number = len(steps_of(response))
            if len(marks) != number:
                raise self.refuse(f"`marks.{index}` has {len(marks)} entries and the response {number} steps")
            if any(mark not in (1, 0, -1, None) for mark in marks):
                raise self.refuse(f"`marks.{index}` is {marks}", "1 good, 0 neutral, -1 bad, null not said.")
        found = [next((s for s, mark in enumerate(marks) if mark == -1), None) for marks in form.marks]
        first = found if form.first_error is None else form.first_error
        self.sized(first, size, "first_error")
        for index, (error, seen) in enumerate(zip(first, found, strict=True)):
            if error != seen:
                raise self.refuse(
                    f"`first_error.{index}` is {error}, and the first step marked bad is {seen}",
                    "Mark that step -1 and none before it, or send null for both.",
                )
        if all(mark is None for marks in form.marks for mark in marks):
            raise self.refuse("no step is marked", "Mark one at least, or skip the item.")
        return {"marks": form.marks, "first_error": first, "comment": text_or_none(form.comment, self, "comment")}

    def feedback(
        self, answer: Answer, group: Group, annotator_id: str | None, settings: StepsSettings
    ) -> tuple[Feedback, ...]:
        return (StepLabels(tuple(map(tuple, answer["marks"])), annotator_id),)

    def groups(self, group: Group, said: Any, settings: StepsSettings) -> list[Group]:
        """Responses without a cut of their own get the one that was marked."""
        cut = tuple(Response(r.messages, steps_of(r)) for r in group.responses)
        whole = Group(group.prompt, cut, group.feedback, group.columns)
        return super().groups(whole, said, settings)

    def units(self, answer: Answer) -> Units:
        return {
            ("steps", i, s): float(mark)
            for i, marks in enumerate(answer["marks"])
            for s, mark in enumerate(marks)
            if mark is not None
        }

    def score_gold(self, answer: Answer, gold: Answer) -> float:
        said = self.units(answer)
        return share([float(said.get(unit) == mark) for unit, mark in self.units(gold).items()])


KIND = Steps()
