"""What the store hands out: frozen, times in UTC."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from truing.group import Group

__all__ = ["ROLES", "Done", "Event", "Feedback", "Person", "Project", "Saved", "Task"]

ROLES = ("annotator", "reviewer", "admin")


@dataclass(frozen=True, slots=True)
class Project:
    """One question asked about many items, and how its labels are made.

    `overlap_share` of the items are judged by `overlap` people, the others by one. `gold_share` of an annotator's
    tasks are ones whose answer is known. `wage` is per hour, in whatever currency.
    """

    id: int
    name: str
    kind: str
    settings: dict[str, Any]
    guidelines: str
    overlap_share: float
    overlap: int
    gold_share: float
    pause_below: float
    qualification_pass: float
    minutes_to_return: float
    wage: float | None
    seed: int
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody with a link. `paused` says why, None = not paused."""

    id: int
    name: str
    role: str
    paused: str | None
    created_at: datetime


@dataclass(frozen=True, slots=True)
class Task:
    """An item in somebody's hands. `order[place]` is the index of the response to show there."""

    id: int
    project_id: int
    item_id: int
    group: Group
    order: tuple[int, ...]
    kind: str
    draft: dict[str, Any] | None
    is_qualification: bool
    opened_at: datetime
    state: str
    """open, answered, skipped, returned."""
    answer_id: int | None
    answer: dict[str, Any] | None
    """What this person said of it, also if it was taken back."""


@dataclass(frozen=True, slots=True)
class Feedback:
    """After a qualification item: how much of the known answer was said, the answer and its reason."""

    score: float
    gold: dict[str, Any]
    reason: str | None


@dataclass(frozen=True, slots=True)
class Saved:
    """An acknowledged answer: on disk. `is_new` False: this key was saved before, or an answer was revised."""

    answer_id: int
    is_new: bool
    is_revised: bool = False
    feedback: Feedback | None = None


@dataclass(frozen=True, slots=True)
class Done:
    """Something that a person answered or skipped, to go back to."""

    task_id: int
    item_id: int
    at: datetime
    state: str
    """answered or skipped."""
    answer_id: int | None
    value: dict[str, Any] | None
    skip_reason: str | None
    seconds: float | None
    prompt: str
    """The beginning of the prompt."""
    can_edit: bool


@dataclass(frozen=True, slots=True)
class Event:
    """A change: who, when, what before, what after."""

    id: int
    at: datetime
    person: str | None
    kind: str
    item_id: int | None
    before: dict[str, Any] | None
    after: dict[str, Any] | None
