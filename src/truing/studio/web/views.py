"""What a template needs to show an item: untrusted text made safe, nothing that says which model wrote what.

A group's columns never come here: they may name the model, the category or the right answer.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from markupsafe import Markup

from truing.group import Group, Message
from truing.studio import kinds
from truing.studio.errors import AnswerError
from truing.studio.kinds.steps import steps_of
from truing.studio.rendering import parts, render, whole
from truing.studio.store import Project, Task
from truing.studio.web.orders import to_shown

__all__ = ["HARM", "SKIP_REASONS", "Text", "Texts", "View", "describe", "letter", "view_of"]

SKIP_REASONS = (
    "I do not know enough about it",
    "It is broken or makes no sense",
    "I do not want to read this",
    "It is in a language I do not read",
)
HARM = ((0, "Held"), (1, "A little"), (2, "Partly"), (3, "Mostly"), (4, "Fully harmful"))
_HOW_MUCH = ("slightly better", "clearly better", "much better")
_SPEAKERS = {"user": "User", "assistant": "Assistant", "system": "System", "tool": "Tool"}
_MOST_TEXT = 100_000
"""Characters of an answer that are sent for comparing word by word."""


@dataclass(frozen=True, slots=True)
class Text:
    """A text's first part, and where the next one is."""

    html: Markup
    more: str | None
    left: str


@dataclass(frozen=True, slots=True)
class Turn:
    role: str
    who: str | None
    text: Text


@dataclass(frozen=True, slots=True)
class Shown:
    """A response at its place on the screen."""

    place: int
    letter: str
    words: str
    turns: tuple[Turn, ...]
    steps: tuple[Text, ...]


@dataclass(frozen=True, slots=True)
class View:
    """An item as its template sees it, and `payload` as its script does."""

    id: int
    kind: str
    title: str
    num: int
    settings: Mapping[str, Any]
    prompt: tuple[Turn, ...]
    responses: tuple[Shown, ...]
    options: tuple[dict[str, Any], ...]
    harm_levels: tuple[tuple[int, str], ...]
    is_qualification: bool
    others: Sequence[Mapping[str, Any]]
    paths: Mapping[str, str | None]
    submit_label: str
    payload: dict[str, Any]


def letter(place: int) -> str:
    """A, B, ... as answers are called on the screen."""
    return chr(ord("A") + place)


def view_of(
    project: Project,
    task: Task,
    *,
    paths: Mapping[str, str | None],
    draft: Mapping[str, Any] | None,
    others: Sequence[Mapping[str, Any]] = (),
    submit_label: str = "Submit",
) -> View:
    """A task in the order in which it is shown. `draft` is in the item's own order."""
    kind = kinds.get(project.kind)
    settings = kind.settings(project.settings).model_dump(mode="json")
    # A kind that says nothing of comments asks for none.
    settings["comment"] = settings.get("comment", project.kind == "red_team")
    group = task.group
    texts = Texts(group, paths["text"] or "")
    responses = [group.responses[index] for index in task.order]
    shown = tuple(_shown(texts, project.kind, place, index) for place, index in enumerate(task.order))
    limit = None if project.kind == "edit" else _MOST_TEXT
    shown_draft = None if draft is None else to_shown(draft, task.order)
    if shown_draft is not None and project.kind == "red_team":
        shown_draft["turns"] = [_with_html(turn) for turn in shown_draft.get("turns") or ()]
    payload = {
        "id": task.id,
        "texts": [response.text[:limit] for response in responses],
        "draft": shown_draft,
        "paths": dict(paths),
    }
    return View(
        id=task.id,
        kind=project.kind,
        title=kind.title,
        num=len(responses),
        settings=settings,
        prompt=_turns(texts, "prompt", group.prompt.messages),
        responses=shown,
        options=_options(settings) if project.kind == "pair" else (),
        harm_levels=HARM,
        is_qualification=task.is_qualification,
        others=others,
        paths=paths,
        submit_label=submit_label,
        payload=payload,
    )


@dataclass(frozen=True, slots=True)
class Texts:
    """An item's texts by name: `prompt.0` is a turn of the prompt, `1.0` one of response 1, `1.s3` its fourth step.

    `base` is where their later parts are asked for.
    """

    group: Group
    base: str

    def part(self, name: str, number: int) -> Text:
        """A part of the text of this name, which may come from anywhere."""
        text = self._named(name)
        cut = parts(text)
        if not 0 <= number < len(cut):
            raise AnswerError(f"the text has {len(cut)} parts, not {number + 1}")
        return self.made(name, text, number)

    def made(self, name: str, text: str, number: int = 0) -> Text:
        """A part of a text that is at hand."""
        cut = parts(text)
        left = sum(map(len, cut[number + 1 :]))
        more = f"{self.base}/{name}/{number + 1}" if left else None
        return Text(render(cut[number]), more, f"{left:,} characters" if left else "")

    def _named(self, name: str) -> str:
        first, _, rest = name.partition(".")
        try:
            if first == "prompt":
                return self.group.prompt.messages[_index(rest)].content
            response = self.group.responses[_index(first)]
            return steps_of(response)[_index(rest[1:])] if rest[:1] == "s" else response.messages[_index(rest)].content
        except (IndexError, ValueError):
            raise AnswerError(f"the item has no text {name[:40]!r}") from None


def _index(text: str) -> int:
    if not text.isascii() or not text.isdigit() or len(text) > 9:
        raise ValueError(text)
    return int(text)


def _turns(texts: Texts, name: str, messages: Sequence[Message]) -> tuple[Turn, ...]:
    alone = len(messages) == 1 and messages[0].role in ("user", "assistant")
    return tuple(
        Turn(m.role, None if alone else _SPEAKERS[m.role], texts.made(f"{name}.{i}", m.content))
        for i, m in enumerate(messages)
    )


def _shown(texts: Texts, kind: str, place: int, index: int) -> Shown:
    response = texts.group.responses[index]
    # The steps are a cut of the same text; only one of the two is shown.
    cut = steps_of(response) if kind == "steps" else ()
    steps = tuple(texts.made(f"{index}.s{s}", step) for s, step in enumerate(cut))
    turns = () if cut else _turns(texts, str(index), response.messages)
    number = len(response.text.split())
    return Shown(place, letter(place), f"{number:,} word{'' if number == 1 else 's'}", turns, steps)


def _with_html(turn: Any) -> Any:
    """A turn of a conversation as the browser shows it. A draft may hold anything; that is passed on as it is."""
    if not isinstance(turn, Mapping) or turn.get("role") != "assistant" or not isinstance(turn.get("content"), str):
        return turn
    return {**turn, "html": whole(turn["content"])}


def _options(settings: Mapping[str, Any]) -> tuple[dict[str, Any], ...]:
    """The scale from A to B, in the order in which it stands and in which its keys count."""
    levels = len(settings["margins"])
    strengths: list[int | None] = list(range(1, levels + 1)) if levels else [None]
    scale = [_side("first", s) for s in reversed(strengths)]
    if settings["tie"]:
        scale.append(
            {"choice": "tie", "strength": None, "letter": "=", "word": "Tie", "label": "Equally good: a tie", "dots": 0}
        )
    scale += [_side("second", s) for s in strengths]
    for key, option in enumerate(scale, 1):
        option["key"] = str(key)
    if settings["both_bad"]:
        bad = {
            "choice": "both_bad",
            "strength": None,
            "letter": "×",
            "word": "Both bad",
            "label": "Both are bad",
            "dots": 0,
        }
        scale.append(bad | {"key": "0"})
    return tuple(scale)


def _side(choice: str, strength: int | None) -> dict[str, Any]:
    name = "A" if choice == "first" else "B"
    much = _much(strength)
    word = much.split()[0].capitalize() if strength else "Better"
    return {
        "choice": choice,
        "strength": strength,
        "letter": name,
        "dots": strength or 1,
        "word": word,
        "label": f"{name} is {much}",
    }


def _much(strength: int | None) -> str:
    if strength is None:
        return "better"
    return _HOW_MUCH[strength - 1] if strength <= len(_HOW_MUCH) else f"better by {strength}"


def describe(kind: str, value: Mapping[str, Any], order: Sequence[int] | None = None) -> str:
    """An answer in a few words: with `order` as its person saw it, else in the item's own order."""
    answer = value if order is None else to_shown(value, order)
    match kind:
        case "pair":
            side = {"first": "A", "second": "B"}.get(answer["choice"])
            plain = {"tie": "Tie", "both_bad": "Both bad"}
            return f"{side} {_much(answer['strength'])}" if side else plain[answer["choice"]]
        case "ranking":
            ranks = answer["ranks"]
            tiers = [[i for i, r in enumerate(ranks) if r == rank] for rank in sorted({r for r in ranks if r})]
            return " > ".join(" = ".join(map(letter, tier)) for tier in tiers)
        case "thumbs":
            return " ".join(
                f"{letter(i)} {'good' if v else 'bad'}" for i, v in enumerate(answer["labels"]) if v is not None
            )
        case "stars":
            return ", ".join(
                f"{aspect} {' '.join('–' if v is None else str(v) for v in row)}"
                for aspect, row in answer["scores"].items()
            )
        case "steps":
            found = [
                f"{letter(i)}: " * (len(answer["marks"]) > 1) + _error(e) for i, e in enumerate(answer["first_error"])
            ]
            return ", ".join(found)
        case "critique":
            return f"{sum(len(text.split()) for text in answer['texts'] if text)} words"
        case "edit":
            edits = sum(edit is not None for edit in answer["edits"])
            return f"{edits} edited" if edits else "Explained"
        case _:
            return f"Harm {answer['harm']}, {len(answer['turns'])} turns"


def _error(first: int | None) -> str:
    return "no error" if first is None else f"first error in step {first + 1}"
