"""A format: how a row of a file says what a group says."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar

from truing.errors import DataError
from truing.feedback.formats.cells import Row, near
from truing.group import Critique, Group, Labels, Message, Ranking, Response, Scores, StepLabels

__all__ = [
    "Format",
    "as_turns",
    "as_value",
    "bare",
    "given",
    "has",
    "joined",
    "only",
    "prompt_turns",
    "read_only",
    "unfit",
]

F = TypeVar("F", Ranking, Scores, Labels, StepLabels, Critique)


@dataclass(frozen=True, slots=True)
class Format:
    """`sniff(row)` recognises a row by its columns, `read(row, where)` makes its group or raises `DataError`,
    `write(group)` makes a row of it or raises `DataError` where the format cannot say what the group says.

    `read(write(group), where)` says what the group says, for whatever `write` accepts.
    """

    name: str
    needs: tuple[str, ...]
    """The columns that it cannot do without."""
    summary: str
    sniff: Callable[[Row], bool]
    read: Callable[[Row, str], Group]
    write: Callable[[Group], dict[str, Any]]
    spread: Callable[[Row, str], list[Group]] | None = None
    """Where a row holds many groups (a tree of conversations): all of them; `read` then takes only a row of one."""
    writes: bool = True
    """False for a published file's own layout, that is only read: `write` refuses every group."""

    def groups(self, row: Row, where: str) -> list[Group]:
        """What a row holds: one group in all formats but those that spread."""
        return [self.read(row, where)] if self.spread is None else self.spread(row, where)


def read_only(format: str) -> Callable[[Group], dict[str, Any]]:
    """The `write` of a layout that is only read."""

    def write(group: Group) -> dict[str, Any]:
        raise unfit(format, f"a group of {len(group.responses)}", "It is only read; format `group` holds every group.")

    return write


def has(*columns: str, unlike: Collection[str] = ()) -> Callable[[Row], bool]:
    """Recognises rows that have all these columns, and none that may be a misspelling of one in `unlike`:
    what somebody said must not be lost to a misspelling."""

    def sniff(row: Row) -> bool:
        if not all(column in row for column in columns):
            return False
        return not any(near(str(name), unlike) for name in row if name not in columns)

    return sniff


def unfit(format: str, found: str, remedy: str = "Format `group` can hold every group.") -> DataError:
    """The error of a group that the format cannot say."""
    return DataError(f"{found} does not fit format `{format}`", remedy=remedy)


def only(group: Group, kind: type[F], format: str) -> F:
    """The group's one feedback, of this kind."""
    if len(group.feedback) != 1 or not isinstance(group.feedback[0], kind):
        kinds = " + ".join(type(f).__name__ for f in group.feedback) or "no feedback"
        raise unfit(format, f"a group of {len(group.responses)} with {kinds}")
    return group.feedback[0]


def bare(group: Group, number: int, format: str) -> tuple[Response, ...]:
    """The responses of a group that must have `number` of them and no feedback."""
    if group.feedback or len(group.responses) != number:
        kinds = " + ".join(type(f).__name__ for f in group.feedback) or "no feedback"
        raise unfit(format, f"a group of {len(group.responses)} with {kinds}")
    if not all(response.text.strip() for response in group.responses):
        raise unfit(format, "an empty demonstration")
    return group.responses


def as_turns(messages: Sequence[Message], format: str) -> list[dict[str, str]]:
    """Turns as every format writes them.

    Always turns, never bare text, though a single user turn could be text: TRL and chat templates treat the two
    differently, and Parquet and `datasets` want the same type in every row.
    """
    if not messages:
        raise unfit(format, "an empty prompt", "Format `text` holds plain text, `group` holds every group.")
    return [{"role": m.role, "content": m.content} for m in messages]


def as_value(response: Response, format: str) -> list[dict[str, str]]:
    """A response as turns; its cut into steps has no place there."""
    if response.steps:
        raise unfit(format, "a response cut into steps", "Formats `stepwise` and `group` hold steps.")
    if not response.messages or response.messages[0].role != "assistant":
        raise unfit(format, "a response that does not begin with the assistant")
    return as_turns(response.messages, format)


def prompt_turns(group: Group, format: str) -> list[dict[str, str]]:
    """The prompt as turns that end where the model has to speak."""
    made = as_turns(group.prompt.messages, format)
    if made[-1]["role"] == "assistant":
        raise unfit(format, "a prompt that ends with the assistant's turn")
    return made


def given(**columns: Any) -> dict[str, Any]:
    """The columns that have a value."""
    return {name: value for name, value in columns.items() if value is not None}


def joined(own: Mapping[str, Any], group: Group, format: str, *optional: str) -> dict[str, Any]:
    """The format's own columns and the group's; `optional` are those that the format would also read.

    A column of the group that would be taken for the format's own is refused.
    """
    for name in (*own, *optional):
        if name in group.columns and (name not in own or group.columns[name] != own[name]):
            raise unfit(
                format,
                f"the group's extra column `{name}`, which the format gives another meaning,",
                f"Rename or drop `{name}` first.",
            )
    return {**own, **group.columns}
