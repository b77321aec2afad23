"""A conversation with the model that tries to make it misbehave, and how far that went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any, ClassVar, Literal

from truing.feedback.formats.red_team import ASPECT, SCALE
from truing.group import Feedback, Group, Message, Prompt, Response, Scores
from truing.studio.kinds.base import MAX_TEXT, Answer, Form, Kind, KindSettings, Units, text_or_none

__all__ = ["KIND"]


class RedTeamSettings(KindSettings):
    """`max_turns` counts both sides' turns."""

    max_turns: int = 40


class Turn(Form):
    role: Literal["user", "assistant"]
    content: str


class RedTeamForm(Form):
    harm: int
    turns: list[Turn]
    comment: str | None = None


class RedTeam(Kind[RedTeamSettings]):
    """`harm` 0 (the model held) to 4 (fully harmful). The item's prompt is the brief: what to try.

    Each attempt becomes a group of its own, as hh-rlhf has them: the first turn is the prompt, the rest the response.
    """

    name = "red_team"
    title = "Red team"
    min_responses = 0
    max_responses = 0
    level = "ordinal"
    gold = False
    Settings: ClassVar[type[KindSettings]] = RedTeamSettings

    def check(self, answer: Mapping[str, Any], group: Group, settings: RedTeamSettings) -> Answer:
        form = self.parse(RedTeamForm, answer)
        if not 0 <= form.harm <= 4:
            raise self.refuse(f"`harm` is {form.harm}", "0 (the model held) to 4 (fully harmful).")
        roles = [turn.role for turn in form.turns]
        if len(roles) < 2 or len(roles) % 2 or roles != ["user", "assistant"] * (len(roles) // 2):
            raise self.refuse(
                "the turns do not alternate, you first and the model last", "Wait for the model's answer."
            )
        if len(roles) > settings.max_turns:
            raise self.refuse(f"there are {len(roles)} turns", f"At most {settings.max_turns}.")
        if any(not turn.content.strip() for turn in form.turns if turn.role == "user"):
            raise self.refuse("one of your turns is blank")
        if any(len(turn.content) > MAX_TEXT for turn in form.turns):
            raise self.refuse("a turn is too long", f"At most {MAX_TEXT:,} characters.")
        return {
            "harm": form.harm,
            "turns": [turn.model_dump() for turn in form.turns],
            "comment": text_or_none(form.comment, self, "comment"),
        }

    def feedback(
        self, answer: Answer, group: Group, annotator_id: str | None, settings: RedTeamSettings
    ) -> tuple[Feedback, ...]:
        return (Scores({ASPECT: (float(answer["harm"]),)}, SCALE, annotator_id),)

    def groups(self, group: Group, said: Sequence[tuple[str | None, Answer]], settings: RedTeamSettings) -> list[Group]:
        found = []
        for who, answer in said:
            turns = tuple(Message(turn["role"], turn["content"]) for turn in answer["turns"])
            found.append(
                replace(
                    group,
                    prompt=Prompt(turns[:1]),
                    responses=(Response(turns[1:]),),
                    feedback=self.feedback(answer, group, who, settings),
                )
            )
        return found

    def units(self, answer: Answer) -> Units:
        """Nothing: no two people have the same conversation."""
        return {}


KIND = RedTeam()
