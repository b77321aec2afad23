"""Thumbs up or down for each response."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from truing.group import Feedback, Group, Labels
from truing.studio.kinds.base import Answer, Form, Kind, KindSettings, Units, share, text_or_none

__all__ = ["KIND"]


class ThumbsSettings(KindSettings):
    """Whether a comment is asked."""

    comment: bool = True


class ThumbsForm(Form):
    labels: list[bool | None]
    comment: str | None = None


class Thumbs(Kind[ThumbsSettings]):
    name = "thumbs"
    title = "Thumbs up or down"
    min_responses = 1
    max_responses = 20
    Settings: ClassVar[type[KindSettings]] = ThumbsSettings

    def check(self, answer: Mapping[str, Any], group: Group, settings: ThumbsSettings) -> Answer:
        form = self.parse(ThumbsForm, answer)
        self.sized(form.labels, len(group.responses), "labels")
        if all(label is None for label in form.labels):
            raise self.refuse("no response has a thumb", "Give one at least, or skip the item.")
        return {"labels": form.labels, "comment": text_or_none(form.comment, self, "comment")}

    def feedback(
        self, answer: Answer, group: Group, annotator_id: str | None, settings: ThumbsSettings
    ) -> tuple[Feedback, ...]:
        return (Labels(tuple(answer["labels"]), annotator_id),)

    def units(self, answer: Answer) -> Units:
        return {
            ("thumbs", i): "up" if label else "down" for i, label in enumerate(answer["labels"]) if label is not None
        }

    def score_gold(self, answer: Answer, gold: Answer) -> float:
        said = self.units(answer)
        return share([float(said.get(index) == label) for index, label in self.units(gold).items()])

    def chosen(self, answer: Answer) -> int | None:
        up = [index for index, label in enumerate(answer["labels"]) if label]
        return up[0] if len(up) == 1 and len(answer["labels"]) > 1 and None not in answer["labels"] else None


KIND = Thumbs()
