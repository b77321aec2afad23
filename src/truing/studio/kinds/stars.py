"""Stars on several named aspects for each response."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from pydantic import field_validator, model_validator

from truing.group import Feedback, Group, Scores
from truing.studio.kinds.base import Answer, Form, Kind, KindSettings, Units, share, text_or_none

__all__ = ["KIND"]


class StarsSettings(KindSettings):
    """`aspects` are what is rated, each from `lowest` to `highest`."""

    aspects: tuple[str, ...] = ("overall",)
    lowest: int = 1
    highest: int = 5
    comment: bool = True

    @field_validator("aspects")
    @classmethod
    def _named(cls, aspects: tuple[str, ...]) -> tuple[str, ...]:
        if not aspects or len(set(aspects)) < len(aspects) or not all(a.strip() for a in aspects):
            raise ValueError("aspects need names, each another one")
        return aspects

    @model_validator(mode="after")
    def _scale(self) -> StarsSettings:
        if self.lowest >= self.highest:
            raise ValueError(f"lowest {self.lowest} is not below highest {self.highest}")
        return self


class StarsForm(Form):
    scores: dict[str, list[int | None]]
    comment: str | None = None


class Stars(Kind[StarsSettings]):
    name = "stars"
    title = "Rate with stars"
    min_responses = 1
    max_responses = 20
    level = "ordinal"
    Settings: ClassVar[type[KindSettings]] = StarsSettings

    def check(self, answer: Mapping[str, Any], group: Group, settings: StarsSettings) -> Answer:
        form = self.parse(StarsForm, answer)
        size, low, high = len(group.responses), settings.lowest, settings.highest
        unknown = [aspect for aspect in form.scores if aspect not in settings.aspects]
        if unknown:
            raise self.refuse(f"there is no aspect `{unknown[0]}`", f"Aspects: {', '.join(settings.aspects)}.")
        scores = {aspect: form.scores.get(aspect, [None] * size) for aspect in settings.aspects}
        for aspect, values in scores.items():
            self.sized(values, size, f"scores.{aspect}")
            for value in values:
                if value is not None and not low <= value <= high:
                    raise self.refuse(f"{aspect} is {value}", f"{low} to {high}.")
        if all(value is None for values in scores.values() for value in values):
            raise self.refuse("no star is given", "Give one at least, or skip the item.")
        return {"scores": scores, "comment": text_or_none(form.comment, self, "comment")}

    def feedback(
        self, answer: Answer, group: Group, annotator_id: str | None, settings: StarsSettings
    ) -> tuple[Feedback, ...]:
        values = {a: tuple(v) for a, v in answer["scores"].items() if any(x is not None for x in v)}
        return (Scores(values, (float(settings.lowest), float(settings.highest)), annotator_id),)

    def units(self, answer: Answer) -> Units:
        return {
            (aspect, i): float(value)
            for aspect, values in answer["scores"].items()
            for i, value in enumerate(values)
            if value is not None
        }

    def score_gold(self, answer: Answer, gold: Answer) -> float:
        """1 for the known number of stars, 0.5 for a neighbour, 0 farther off or missing."""
        said = self.units(answer)
        return share(
            [
                max(0.0, 1 - abs(float(said[unit]) - float(known)) / 2) if unit in said else 0.0
                for unit, known in self.units(gold).items()
            ]
        )

    def chosen(self, answer: Answer) -> int | None:
        columns = list(zip(*answer["scores"].values(), strict=True))
        if len(columns) < 2 or any(value is None for column in columns for value in column):
            return None
        totals = [sum(column) for column in columns]
        best = [index for index, total in enumerate(totals) if total == max(totals)]
        return best[0] if len(best) == 1 else None


KIND = Stars()
