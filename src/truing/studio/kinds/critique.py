"""Words about each response."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from truing.group import Critique, Feedback, Group
from truing.studio.kinds.base import Answer, Form, Kind, KindSettings, Units, text_or_none

__all__ = ["KIND"]


class CritiqueSettings(KindSettings):
    """`least` is the number of characters that a critique needs."""

    least: int = 1


class CritiqueForm(Form):
    texts: list[str | None]


class CritiqueKind(Kind[CritiqueSettings]):
    name = "critique"
    title = "Write a critique"
    min_responses = 1
    max_responses = 8
    gold = False
    Settings: ClassVar[type[KindSettings]] = CritiqueSettings

    def check(self, answer: Mapping[str, Any], group: Group, settings: CritiqueSettings) -> Answer:
        form = self.parse(CritiqueForm, answer)
        self.sized(form.texts, len(group.responses), "texts")
        texts = [text_or_none(text, self, "texts") for text in form.texts]
        if not any(texts):
            raise self.refuse("no critique is written", "Write one at least, or skip the item.")
        short = [text for text in texts if text is not None and len(text.strip()) < settings.least]
        if short:
            raise self.refuse(f"a critique has {len(short[0].strip())} characters", f"At least {settings.least}.")
        return {"texts": texts}

    def feedback(
        self, answer: Answer, group: Group, annotator_id: str | None, settings: CritiqueSettings
    ) -> tuple[Feedback, ...]:
        return (Critique(tuple(answer["texts"]), annotator_id=annotator_id),)

    def units(self, answer: Answer) -> Units:
        return {}


KIND = CritiqueKind()
