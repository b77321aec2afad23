"""What the cells of a row may hold, read with care: every refusal names place, value and remedy.

Two rules hold in every format. A blank cell is a missing value. A `list` or `object` may also come as JSON text, which
is all that a CSV cell can hold.
"""

from __future__ import annotations

import difflib
import json
import math
from collections.abc import Callable, Collection, Mapping
from typing import Any, ParamSpec, TypeVar

from truing.errors import DataError
from truing.group import ROLES, Message, Prompt, Response

__all__ = [
    "Row",
    "annotator",
    "build",
    "cell",
    "column_error",
    "demonstrated",
    "filled",
    "items",
    "near",
    "number",
    "optional_number",
    "prompt",
    "response",
    "rest",
    "shown",
    "structured",
    "text",
    "truth",
    "turns",
    "wrong",
]

Row = Mapping[str, Any]
P = ParamSpec("P")
T = TypeVar("T")

_WIDTH = 60
_CALLS = ("tool_calls", "function_call")
_ALIASES = {"human": "user", "gpt": "assistant", "bot": "assistant", "model": "assistant", "developer": "system"}


def shown(value: Any) -> str:
    """A value short enough for one line of a message."""
    if isinstance(value, dict):
        return f"an object with keys {', '.join(map(repr, list(value)[:5]))}" if value else "an empty object"
    shape = repr(value[: _WIDTH + 1] if isinstance(value, (str, bytes)) else value)
    return shape if len(shape) <= _WIDTH else shape[: _WIDTH - 1] + "…"


def near(name: str, names: Collection[str]) -> str | None:
    """What the writer of `name` may have meant."""
    found = difflib.get_close_matches(name.lower(), names, 1, 0.75)
    return found[0] if found else None


def column_error(row: Row, column: str, where: str) -> DataError:
    """There is no such column, or its cell is blank."""
    if column in row:
        return DataError(
            f"column `{column}` is {'null' if row[column] is None else 'empty'}",
            where=where,
            remedy="Fill it in, or leave the row out (--skip-bad does).",
        )
    meant = near(column, [str(name) for name in row])
    hint = f"Did you mean `{column}` where it says `{meant}`? " if meant else ""
    names = ", ".join(map(str, list(row)[:20])) or "none"
    return DataError(f"there is no column `{column}`", where=where, remedy=f"{hint}Its columns: {names}.")


def wrong(column: str, value: Any, where: str, remedy: str) -> DataError:
    """A cell holds something else than it should."""
    return DataError(f"column `{column}` holds {shown(value)}", where=where, remedy=remedy)


def filled(row: Row, column: str) -> bool:
    """There is something in the cell."""
    value = row.get(column)
    return value is not None and not (isinstance(value, str) and not value.strip())


def cell(row: Row, column: str, where: str) -> Any:
    """Whatever the cell holds, if it holds anything."""
    if not filled(row, column):
        raise column_error(row, column, where)
    return row[column]


def _string(value: Any, column: str, where: str) -> str:
    if not isinstance(value, str):
        raise wrong(column, value, where, "It should be text.")
    if not value.isascii():
        try:
            value.encode()
        except UnicodeEncodeError as error:
            # JSON can spell half a character; no tokenizer can read one.
            raise DataError(
                f"column `{column}` holds half a surrogate pair, {value[error.start]!r}, at character {error.start}",
                where=where,
                remedy="Mend the text where it was made: it was cut inside a character.",
            ) from None
    return value


def text(row: Row, column: str, where: str) -> str:
    """Text, not blank."""
    return _string(cell(row, column, where), column, where)


def structured(row: Row, column: str, where: str) -> Any:
    """A list or object, itself or as JSON text."""
    value = cell(row, column, where)
    if isinstance(value, str):
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            raise wrong(column, value, where, "It should be a list (in CSV: as JSON).") from None
    return value


def items(row: Row, column: str, where: str) -> list[Any]:
    """A list with something in it."""
    value = structured(row, column, where)
    if not isinstance(value, list) or not value:
        raise wrong(column, value, where, "It should be a list with at least one item.")
    return value


def number(value: Any, column: str, where: str) -> float:
    """A finite number; numeric text counts, `true` does not."""
    if isinstance(value, (int, float, str)) and not isinstance(value, bool):
        try:
            found = float(value)
        except (ValueError, OverflowError):
            found = math.nan
        if math.isfinite(found):
            return found
    raise wrong(column, value, where, "It should be a finite number.")


def optional_number(row: Row, column: str, where: str) -> float | None:
    """A number, or None where the column is missing or blank."""
    return number(row[column], column, where) if filled(row, column) else None


def truth(value: Any, column: str, where: str) -> bool:
    """true or false; 1 and 0 and their spellings in CSV count."""
    if isinstance(value, str):
        value = {"true": True, "1": True, "false": False, "0": False}.get(value.strip().lower(), value)
    if value in (0, 1) and isinstance(value, (bool, int)):
        return bool(value)
    raise wrong(column, value, where, "It should be true (good) or false (bad).")


def annotator(row: Row, where: str) -> str | None:
    """Who said it; a number is as good a name as any."""
    if not filled(row, "annotator_id"):
        return None
    value = row["annotator_id"]
    if isinstance(value, int) and not isinstance(value, bool):
        return str(value)
    return _string(value, "annotator_id", where)


def _content(value: Any, column: str, where: str, position: int) -> str:
    if isinstance(value, list) and all(isinstance(part, dict) and part.get("type") == "text" for part in value):
        return "".join(_string(part.get("text"), column, where) for part in value)
    if isinstance(value, str):
        return _string(value, column, where)
    raise DataError(
        f"turn {position} of `{column}` has the content {shown(value)}",
        where=where,
        remedy="A turn's content should be text; images and other parts cannot be learned from yet.",
    )


def turns(
    value: Any,
    column: str,
    where: str,
    *,
    keys: tuple[str, str] = ("role", "content"),
    aliases: Mapping[str, str] | None = None,
) -> tuple[Message, ...]:
    """Turns of a conversation: a list of {role, content}. Further keys of a turn are not kept.

    Tool calls are refused: without them the turn that makes them would be learned as silence.
    """
    if not isinstance(value, list) or not value:
        raise wrong(column, value, where, f"It should be a list of turns, each with `{keys[0]}` and `{keys[1]}`.")
    found = []
    for position, turn in enumerate(value, 1):
        if not isinstance(turn, dict) or any(key not in turn for key in keys):
            raise DataError(
                f"turn {position} of `{column}` is {shown(turn)}",
                where=where,
                remedy=f"A turn is an object with `{keys[0]}` and `{keys[1]}`.",
            )
        if any(turn.get(call) for call in _CALLS):
            raise DataError(
                f"turn {position} of `{column}` calls a tool, and tool calls have no place in a turn yet",
                where=where,
                remedy="Write the call into the turn's content, as the model should say it.",
            )
        role = turn[keys[0]]
        if aliases is not None and isinstance(role, str):
            role = aliases.get(role.strip().lower(), role)
        if not isinstance(role, str) or role not in ROLES:
            meant = _ALIASES.get(role.lower()) or near(role, ROLES) if isinstance(role, str) else None
            raise DataError(
                f"turn {position} of `{column}` has the {keys[0]} {shown(role)}",
                where=where,
                remedy=(f"Did you mean `{meant}`? " if meant else "") + f"Known: {', '.join(aliases or ROLES)}.",
            )
        found.append(Message(role, _content(turn[keys[1]], column, where, position)))
    return tuple(found)


def prompt(row: Row, where: str, column: str = "prompt") -> Prompt:
    """Text is one user turn; a list is turns that end where the model has to speak."""
    value = cell(row, column, where)
    if isinstance(value, str):
        return Prompt.of(_string(value, column, where))
    messages = turns(value, column, where)
    if messages[-1].role == "assistant":
        raise DataError(
            f"the last turn of `{column}` is the assistant's",
            where=where,
            remedy="A prompt ends where the model has to speak; move that turn into the response.",
        )
    return Prompt(messages)


def response(value: Any, column: str, where: str) -> Response:
    """Text is one assistant turn; a list is turns that begin with the assistant's."""
    if isinstance(value, str):
        return Response.of(_string(value, column, where))
    messages = turns(value, column, where)
    if messages[0].role != "assistant":
        raise DataError(
            f"the first turn of `{column}` is the {messages[0].role}'s",
            where=where,
            remedy="A response begins with an assistant turn; what comes before belongs into the prompt.",
        )
    return Response(messages)


def demonstrated(answer: Response, column: str, where: str) -> Response:
    """A response to be imitated. It must say something: an empty one teaches silence.

    A response that somebody judged may be empty: it is what the judge was shown.
    """
    if not answer.text.strip():
        raise DataError(
            f"the response in `{column}` is empty",
            where=where,
            remedy="Fill it in, or leave the row out (--skip-bad does).",
        )
    return answer


def rest(row: Row, *own: str) -> dict[str, Any]:
    """The columns that the format does not read, carried along."""
    return {name: value for name, value in row.items() if name not in own}


def build(where: str, kind: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Make a group or a kind of feedback; what it refuses becomes the row's error."""
    try:
        return kind(*args, **kwargs)
    except ValueError as error:
        raise DataError(str(error), where=where, remedy="Mend the row, or leave it out (--skip-bad does).") from None
