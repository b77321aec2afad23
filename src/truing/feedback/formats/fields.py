"""The named fields that a labelling tool shows: which is the prompt, which are the responses.

`prompt`, `question`, `instruction`, ... is the prompt. Responses are `answer1`, `answer2`, or `response_a`,
`response_b`, ..., or a list of `items` with `id` and `body`, or a single `response`. All else is a column.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

from truing.errors import DataError
from truing.feedback.formats.base import prompt_turns, unfit
from truing.feedback.formats.cells import Row, prompt, response, shown
from truing.group import Group, Prompt, Response

__all__ = ["MOST_RESPONSES", "Fields", "extra_columns", "fields_of", "shown_fields", "spoken"]

MOST_RESPONSES = 1000
"""A task that shows more is none."""
_PROMPTS = ("prompt", "question", "instruction", "query", "conversation", "dialogue", "messages", "input", "context")
_FAMILIES = ("answer", "response", "completion", "reply", "output", "generation", "option", "text")
_LISTS = ("items", "responses", "answers", "completions", "results")
_NUMBERED = re.compile(r"([a-z]+)(?:[-_ ]?(\d{1,4})|[-_ ]([a-z]))", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class Fields:
    """What was shown: `names[i]` is the field of response i, `ids` further names that answers may use for it."""

    prompt: Prompt
    responses: tuple[Response, ...]
    names: tuple[str, ...]
    ids: Mapping[str, int]
    rest: dict[str, Any]

    def index(self, name: Any) -> int | None:
        """The response that a field or an id names; the only one, whatever is named."""
        if isinstance(name, str) and name in self.ids:
            return self.ids[name]
        return 0 if len(self.responses) == 1 else None


def _numbered(data: Row) -> list[str]:
    """Names like answer1, answer2 or response_a, response_b; those of the first family that is there."""
    found: dict[str, list[tuple[int, str, str]]] = {}
    for name in data:
        match = _NUMBERED.fullmatch(name) if isinstance(name, str) else None
        if match and data[name] is not None:
            family, place = match[1].lower(), (match[2] or match[3]).lower()
            found.setdefault(family, []).append((len(place), place, name))
    for family in _FAMILIES:
        if family in found:
            return [name for *_, name in sorted(found[family])]
    return []


def _listed(data: Row, where: str) -> tuple[str, list[Any], list[str]] | None:
    """A list of responses: its field, their texts, their ids."""
    for name in _LISTS:
        value = data.get(name)
        if not isinstance(value, list) or not value:
            continue
        texts, ids = [], []
        for place, each in enumerate(value):
            text, own = each, f"{name}[{place}]"
            if isinstance(each, dict) and "role" not in each:
                bodies = [
                    each[key] for key in ("body", "text", "html", "content", "title") if each.get(key) is not None
                ]
                if not bodies:
                    raise DataError(
                        f"item {place + 1} of `{name}` is {shown(each)}", where=where, remedy="It needs a `body`."
                    )
                text, own = bodies[0], str(each.get("id", own))
            texts.append(text)
            ids.append(own)
        if len(set(ids)) < len(ids):
            raise DataError(f"two items of `{name}` have the same id", where=where, remedy="Give each its own.")
        return name, texts, ids
    return None


def _ids_of(value: Any) -> list[Any] | None:
    if not isinstance(value, list) or not all(isinstance(each, dict) for each in value):
        return None
    return [each.get("id") for each in value]


def fields_of(data: Any, column: str, where: str) -> Fields:
    """The prompt and the responses among the named fields of a task."""
    if not isinstance(data, dict):
        raise DataError(f"column `{column}` holds {shown(data)}", where=where, remedy="An object of named fields.")
    asked = next((name for name in _PROMPTS if data.get(name) not in (None, "", [])), None)
    others = {name: value for name, value in data.items() if name != asked}
    names = _numbered(others)
    texts, used = [data[name] for name in names], {*names}
    if names and _ids_of(data.get("items")) == names:
        used.add("items")  # the same responses once more, for a tag that wants a list
    elif not names and (listed := _listed(others, where)):
        own, texts, names = listed
        used = {own}
    elif not names and (single := next((name for name in _FAMILIES if others.get(name) is not None), None)):
        texts, names, used = [data[single]], [single], {single}
    if asked is None or not texts:
        lacking = "prompt" if asked is None else "response"
        remedy = "`prompt` (or question, instruction, ...) and `answer1`, `answer2`, ... (or response, items, ...)"
        raise DataError(
            f"`{column}` has no field that is the {lacking}: {', '.join(map(str, list(data)[:20])) or 'it is empty'}",
            where=where,
            remedy=f"Call the fields {remedy}.",
        )
    if len(texts) > MOST_RESPONSES:
        raise DataError(f"`{column}` shows {len(texts)} responses", where=where, remedy=f"At most {MOST_RESPONSES}.")
    responses = tuple(response(text, name, where) for text, name in zip(texts, names, strict=True))
    rest = {name: value for name, value in data.items() if name not in used and name != asked}
    return Fields(prompt(data, where, asked), responses, tuple(names), {name: i for i, name in enumerate(names)}, rest)


def spoken(value: Response, format: str) -> str:
    """A response as the text that the tool shows."""
    if value.steps or len(value.messages) != 1 or value.messages[0].role != "assistant":
        raise unfit(format, "a response of several turns or steps")
    return value.messages[0].content


def shown_fields(group: Group, family: str, format: str) -> tuple[dict[str, Any], tuple[str, ...]]:
    """The fields of a group, `prompt` as turns and each response as text, and the names of the responses."""
    if not 1 <= len(group.responses) <= MOST_RESPONSES:
        raise unfit(format, f"a group of {len(group.responses)}")
    names = tuple(f"{family}{index}" for index in range(1, len(group.responses) + 1))
    texts = (spoken(each, format) for each in group.responses)
    return {"prompt": prompt_turns(group, format), **dict(zip(names, texts, strict=True))}, names


def extra_columns(group: Group, own: Iterable[str], family: str, format: str) -> dict[str, Any]:
    """The group's columns, none of which may be taken for a field of the tool."""
    for name in group.columns:
        match = _NUMBERED.fullmatch(name)
        if name in own or (match and match[1].lower() == family):
            remedy = f"Rename or drop `{name}` first."
            raise unfit(format, f"the group's extra column `{name}`, which the format gives another meaning,", remedy)
    return dict(group.columns)
