"""A rendered conversation cut into what the template wrote and what people wrote.

The template is rendered with placeholders for the contents and cut there:

    literals  "<|im_start|>user\\n"   "<|im_end|>\\n<|im_start|>assistant\\n"
    slots                          0

Contents are put back in by `fill`, trimmed where the template trims (found out by rendering placeholders with white
space around them). Whoever uses a skeleton compares the filled one with the template's real output: a template that
does anything else with contents is noticed, never guessed at.
"""

from __future__ import annotations

import re
import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from truing.chat.render import Turns
from truing.errors import ModelError

__all__ = ["Piece", "Shape", "Skeleton", "Slot", "fill", "plain_shape", "skeleton", "split_shape"]

# A message is its role and a pattern: text that stays as it is, and None where a placeholder stands.
Shape = tuple[tuple[str, tuple[str | None, ...]], ...]

# Nobody who writes a message can know the placeholder; letters and digits pass through any filter but a change of case.
_NONCE = "Zq" + secrets.token_hex(8)
_PLACEHOLDER = re.compile(_NONCE + r"m(\d+)p(\d+)Z")
_LEFT, _RIGHT = "\n\x0b\n", "\n\x0c\n"
_LEFT_LINES, _RIGHT_LINES = _LEFT.lstrip("\n"), _RIGHT.rstrip("\n")


@dataclass(frozen=True, slots=True)
class Slot:
    """Where part `part` of message `message` stands, and which white space the template takes from its ends:
    None nothing, "\\n" newlines, "" any."""

    message: int
    part: int
    left: str | None = None
    right: str | None = None

    def trim(self, text: str) -> str:
        if self.left is not None:
            text = text.lstrip(self.left or None)
        if self.right is not None:
            text = text.rstrip(self.right or None)
        return text


Piece = str | Slot


@dataclass(frozen=True, slots=True)
class Skeleton:
    """`literals[i]` stands before `slots[i]`; the last literal ends the text."""

    literals: tuple[str, ...]
    slots: tuple[Slot, ...]

    def pieces(
        self, start: tuple[int, int] = (0, 0), stop: tuple[int, int] | None = None, spell: Callable[[str], str] = str
    ) -> tuple[Piece, ...]:
        """Literals (as `spell` writes them) and slots in order, from `start` to `stop` = (number of the literal,
        offset within it)."""
        stop = stop or (len(self.slots), len(self.literals[-1]))
        if start[0] == stop[0]:
            return (spell(self.literals[start[0]][start[1] : stop[1]]),)
        made: list[Piece] = [spell(self.literals[start[0]][start[1] :])]
        for i in range(start[0] + 1, stop[0]):
            made += [self.slots[i - 1], spell(self.literals[i])]
        return (*made, self.slots[stop[0] - 1], spell(self.literals[stop[0]][: stop[1]]))

    def starts(self, whole: Skeleton) -> bool:
        """Whether `whole` begins as this one."""
        n = len(self.slots)
        return (
            len(whole.slots) >= n
            and whole.slots[:n] == self.slots
            and whole.literals[:n] == self.literals[:n]
            and whole.literals[n].startswith(self.literals[n])
        )


def fill(pieces: Sequence[Piece], parts: Sequence[Sequence[str]]) -> str:
    """The text, with `parts[message][part]` in the slots."""
    return "".join(p if isinstance(p, str) else p.trim(parts[p.message][p.part]) for p in pieces)


def plain_shape(turns: Turns) -> tuple[Shape, list[list[str]]]:
    """One placeholder for each content. A blank content stays, because templates ask whether there is one."""
    shape = tuple((t["role"], (None,) if t["content"].strip() else (t["content"],)) for t in turns)
    return shape, [[t["content"]] if t["content"].strip() else [] for t in turns]


def split_shape(turns: Turns, separators: re.Pattern[str]) -> tuple[Shape, list[list[str]]]:
    """Contents cut at `separators` (strings the template looks for), which stay visible to it."""
    shape: list[tuple[str, tuple[str | None, ...]]] = []
    parts: list[list[str]] = []
    for turn in turns:
        cut = separators.split(turn["content"])
        hidden = [i % 2 == 0 and bool(text.strip()) for i, text in enumerate(cut)]
        shape.append((turn["role"], tuple(None if h else text for h, text in zip(hidden, cut, strict=True))))
        parts.append([text for h, text in zip(hidden, cut, strict=True) if h])
    return tuple(shape), parts


def skeleton(shape: Shape, render: Callable[[Turns], str], *, name: str) -> Skeleton:
    """Renders placeholders and cuts. `ModelError` where a message does not show exactly once."""
    literals, places = _cut(render(_messages(shape, "", "")))
    for message, (role, pattern) in enumerate(shape):
        for part in range(pattern.count(None)):
            times = places.count((message, part))
            # A part of a message may go (reasoning of earlier turns), a message may not.
            if times > 1 or (times == 0 and len(pattern) == 1):
                raise ModelError(
                    f"the template shows turn {message + 1} ({role}) {times} times: its tokens cannot be told apart "
                    f"from the template's",
                    where=name,
                    remedy="Leave that turn out, or name another template (chatml, plain, ... or a .jinja file).",
                )
    framed_literals, framed_places = _cut(render(_messages(shape, _LEFT, _RIGHT)))
    if framed_places != places:  # it reacts to white space; the comparison with the real text will decide
        return Skeleton(literals, tuple(Slot(*place) for place in places))
    rights: list[str | None] = []
    lefts: list[str | None] = []
    for i, (literal, framed) in enumerate(zip(literals, framed_literals, strict=True)):
        right, left = _trims(literal, framed, first=i == 0, last=i == len(places))
        rights.append(right)
        lefts.append(left)
    slots = (Slot(*place, left=lefts[i], right=rights[i + 1]) for i, place in enumerate(places))
    return Skeleton(literals, tuple(slots))


def _messages(shape: Shape, left: str, right: str) -> list[dict[str, str]]:
    made = []
    for message, (role, pattern) in enumerate(shape):
        part, content = 0, ""
        for text in pattern:
            if text is None:
                content += f"{left}{_NONCE}m{message}p{part}Z{right}"
                part += 1
            else:
                content += text
        made.append({"role": role, "content": content})
    return made


def _cut(text: str) -> tuple[tuple[str, ...], list[tuple[int, int]]]:
    found = _PLACEHOLDER.split(text)
    places = [(int(m), int(p)) for m, p in zip(found[1::3], found[2::3], strict=True)]
    return tuple(found[::3]), places


def _trims(literal: str, framed: str, *, first: bool, last: bool) -> tuple[str | None, str | None]:
    """What was taken from the right end of the content before a literal and from the left end of the one after it."""
    rights = {None: ""} if first else {None: _RIGHT, "\n": _RIGHT_LINES, "": ""}
    lefts = {None: ""} if last else {None: _LEFT, "\n": _LEFT_LINES, "": ""}
    for right, before in rights.items():
        for left, after in lefts.items():
            if framed == before + literal + after:
                return right, left
    return None, None
