"""The response as it should have been, and why."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar

from truing.group import Critique, Feedback, Group, Response
from truing.studio.kinds.base import Answer, Form, Kind, KindSettings, Units, text_or_none

__all__ = ["KIND"]


class EditSettings(KindSettings):
    """Whether words about the edit are asked too."""

    texts: bool = True


class EditForm(Form):
    edits: list[str | None]
    texts: list[str | None] | None = None


class Edit(Kind[EditSettings]):
    """An edit equal to the response is none: null."""

    name = "edit"
    title = "Correct the answer"
    min_responses = 1
    max_responses = 8
    gold = False
    Settings: ClassVar[type[KindSettings]] = EditSettings

    def check(self, answer: Mapping[str, Any], group: Group, settings: EditSettings) -> Answer:
        form = self.parse(EditForm, answer)
        size = len(group.responses)
        self.sized(form.edits, size, "edits")
        edits = [text_or_none(text, self, "edits") for text in form.edits]
        edits = [None if e == r.text else e for e, r in zip(edits, group.responses, strict=True)]
        texts = form.texts or [None] * size
        self.sized(texts, size, "texts")
        texts = [text_or_none(text, self, "texts") for text in texts]
        if not any(edits) and not any(texts):
            raise self.refuse("nothing is changed", "Change something, say in words why not, or skip the item.")
        return {"edits": edits, "texts": texts}

    def feedback(
        self, answer: Answer, group: Group, annotator_id: str | None, settings: EditSettings
    ) -> tuple[Feedback, ...]:
        edits = tuple(None if e is None else Response.of(e) for e in answer["edits"])
        return (Critique(tuple(answer["texts"]), edits if any(edits) else (), annotator_id),)

    def units(self, answer: Answer) -> Units:
        return {}


KIND = Edit()
