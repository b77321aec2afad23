"""A against B: which is better, by how much; a tie; or both bad."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from pydantic import field_validator

from truing.group import Feedback, Group, Labels, Ranking
from truing.studio.kinds.base import Answer, Form, Kind, KindSettings, Units, text_or_none

__all__ = ["KIND"]


class PairSettings(KindSettings):
    """`margins[s - 1]` is the margin of strength s (slightly, clearly, much better); empty: strength is not asked.

    The defaults are those of Llama 2 (arXiv:2307.09288, table 27, small margins). `tie` and `both_bad` offer those.
    """

    margins: tuple[float, ...] = (1 / 3, 2 / 3, 1.0)
    tie: bool = True
    both_bad: bool = True
    comment: bool = True

    @field_validator("margins")
    @classmethod
    def _rising(cls, margins: tuple[float, ...]) -> tuple[float, ...]:
        if any(a >= b for a, b in zip((0.0, *margins), margins, strict=False)):
            raise ValueError("margins rise, and the first is above 0")
        return margins


class PairForm(Form):
    choice: Literal["first", "second", "tie", "both_bad"]
    strength: int | None = None
    comment: str | None = None


class Pair(Kind[PairSettings]):
    name = "pair"
    title = "Compare two"
    min_responses = max_responses = 2
    Settings: ClassVar[type[KindSettings]] = PairSettings

    def check(self, answer: Mapping[str, Any], group: Group, settings: PairSettings) -> Answer:
        form = self.parse(PairForm, answer)
        if form.choice in ("tie", "both_bad") and not getattr(settings, form.choice):
            raise self.refuse(f"this project does not offer `{form.choice}`", "Choose one of the two.")
        if form.strength is not None:
            if form.choice in ("tie", "both_bad"):
                raise self.refuse("neither is better, so there is no strength", "Send `strength` null.")
            if not 1 <= form.strength <= len(settings.margins):
                raise self.refuse(f"`strength` is {form.strength}", f"1 to {len(settings.margins)}, or null.")
        return {
            "choice": form.choice,
            "strength": form.strength,
            "comment": text_or_none(form.comment, self, "comment"),
        }

    def feedback(
        self, answer: Answer, group: Group, annotator_id: str | None, settings: PairSettings
    ) -> tuple[Feedback, ...]:
        choice, strength = answer["choice"], answer["strength"]
        ranks = {"first": (1, 2), "second": (2, 1)}.get(choice, (1, 1))
        margin = settings.margins[strength - 1] if strength else None
        said = Ranking(ranks, margin=margin, annotator_id=annotator_id)
        return (said, Labels((False, False), annotator_id)) if choice == "both_bad" else (said,)

    def units(self, answer: Answer) -> Units:
        return {("preference",): answer["choice"]}

    def score_gold(self, answer: Answer, gold: Answer) -> float:
        return float(answer["choice"] == gold["choice"])

    def chosen(self, answer: Answer) -> int | None:
        return {"first": 0, "second": 1}.get(answer["choice"])


KIND = Pair()
