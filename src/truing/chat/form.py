"""One template with one tokenizer: what becomes prompt, what becomes response, and where a turn ends."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, partial
from typing import Any

from truing.chat.markers import Guard, markers
from truing.chat.render import Turns, render, strings, template
from truing.chat.skeleton import Piece, Shape, Skeleton, fill, plain_shape, skeleton, split_shape
from truing.chat.templates import Choice
from truing.chat.twin import Twin
from truing.errors import ModelError, UserError
from truing.group import Message

__all__ = ["Asked", "Form"]

_CACHE_SIZE = 4096  # shapes of conversations; a run sees a few dozen


@dataclass(frozen=True, slots=True)
class Asked:
    """A prompt: its messages, the text the template makes of them, and the tokens."""

    messages: Sequence[Message]
    text: str
    tokens: list[int]


@dataclass(frozen=True, slots=True)
class _Layout:
    """A skeleton in pieces, as the template writes it and in the twin's secret spelling."""

    shape: Shape
    skeleton: Skeleton
    pieces: tuple[Piece, ...]
    spelled: tuple[Piece, ...]


@dataclass(frozen=True, slots=True)
class _Turn:
    """One assistant turn of a response and what follows it, up to the next place where the assistant has to speak.

    `after` is what `Twin.follow` wants to know of the text before.
    """

    after: str | None
    body: tuple[Piece, ...]
    rest: tuple[Piece, ...]


class Form:
    """Tokenises conversations of `group.Message`s whose contents went through `scrub`."""

    def __init__(self, tokenizer: Any, choice: Choice) -> None:
        self.name = choice.name
        self._special: dict[str, Any] = dict(tokenizer.special_tokens_map)
        self._compiled = template(choice.source, name=self.name)
        self._layouts: dict[tuple[Shape, bool], _Layout] = {}
        self._plans: dict[tuple[Shape, int], list[_Turn]] = {}

        user, answer, system = (("user", (None,)), ("assistant", (None,)), ("system", (None,)))
        asked, answered = self._probe((user,), True), self._probe((user, answer), False)
        probes = [asked.literals, answered.literals]
        self.has_system = self._knows((system, user), probes)
        self._knows((user, answer, user), probes)

        self.bos_id: int | None = tokenizer.bos_token_id
        self.eos_id: int | None = tokenizer.eos_token_id
        # A base model knows bos + text as its tokenizer writes a document: with the prefix space, if it has one.
        self._document = choice.name == "plain"
        self.twin = Twin(tokenizer, "".join(literal for literals in probes for literal in literals))
        self._bos = self.twin.spell(tokenizer.bos_token or "")
        self.header = asked.literals[-1]
        self._set_end(answered.literals[-1])
        found = markers(probes, self.twin.spelled)
        self.guard = Guard(found, partial(self.twin.follow, None), normalize=self.twin.normalization, name=self.name)
        self._separators = self._what_it_looks_for(choice.source)

    def _knows(self, shape: Shape, probes: list[tuple[str, ...]]) -> bool:
        """Whether the template takes such a conversation; its literals join the probes."""
        try:
            probes.append(self._probe(shape, True).literals)
        except UserError:
            return False
        return True

    def _probe(self, shape: Shape, generate: bool) -> Skeleton:
        return skeleton(shape, partial(self._render, generate=generate), name=self.name)

    def _set_end(self, tail: str) -> None:
        """How an assistant turn ends: up to its first special token, else the text after it, else nothing."""
        special = self.twin.spelled.search(tail)
        self._end = tail[: special.end()] if special else tail.rstrip()
        self._inner_end_ids = self.twin.follow(None, self.twin.spell(self._end))
        self.end_ids = list(self._inner_end_ids)
        if special is None:
            # Text alone cannot stop a sampler that watches tokens.
            if self.eos_id is None:
                raise ModelError(
                    "nothing ends an assistant turn: the template writes no special token there and the tokenizer has "
                    "no eos token",
                    where=self.name,
                    remedy="Set tokenizer.eos_token, or name a template whose end-of-turn token the tokenizer has.",
                )
            self.end_ids.append(self.eos_id)
        self.stop_ids = frozenset({self.end_ids[-1]} | ({self.eos_id} if self.eos_id is not None else set()))
        self.stop_strings = (self._end.strip(),) if special is None and self._end.strip() else ()

    def _what_it_looks_for(self, source: str) -> re.Pattern[str]:
        """Strings like `</think>` that the template may look for in contents; never a turn marker."""
        words = {
            s
            for s in strings(source)
            if len(s) >= 3
            and re.search(r"[^\w\s]", s)
            and s == s.strip()
            and not self.twin.spelled.search(s)
            and not self.guard.scrub(s)[1]
        }
        ordered = sorted(words, key=len, reverse=True)
        return re.compile(f"({'|'.join(map(re.escape, ordered)) or '(?!)'})")

    def scrub(self, content: str) -> tuple[str, int]:
        """The content with text markers broken, and how many forged markers of either kind it held."""
        content, broken = self.guard.scrub(content)
        return content, broken + len(self.twin.spelled.findall(content))

    def prompt(self, messages: Sequence[Message]) -> Asked:
        """The turns and the header of the answer."""
        layout, parts, text = self._lay(messages, generate=True)
        return Asked(messages, text, self._start(fill(layout.spelled, parts)))

    def response(self, asked: Asked, response: Sequence[Message]) -> tuple[list[int], list[bool]]:
        """Tokens of the response, and which of them are the assistant's, its end of turn included.

        It ends with the end-of-turn token: what a template writes after the last one (ChatML's newline) nobody samples.
        """
        turns, parts = self._turns(asked, response)
        tokens: list[int] = []
        mask: list[bool] = []
        for number, turn in enumerate(turns, 1):
            end = self.end_ids if number == len(turns) else self._inner_end_ids
            body = self.twin.follow(turn.after, fill(turn.body, parts)) + end
            rest = self.twin.follow(self._after_end, fill(turn.rest, parts))
            tokens += body + rest
            mask += [True] * len(body) + [False] * len(rest)
        return tokens, mask

    def step_ends(self, asked: Asked, response: Message, steps: Sequence[str]) -> list[int | None]:
        """For each of the steps, which stand in the response's turn one after another, the index among the response's
        tokens of the last one that holds something of its last character; None from the first step that is not there.
        """
        (turn,), parts = self._turns(asked, [response])
        body = fill(turn.body, parts)
        first = next((i for i, piece in enumerate(turn.body) if not isinstance(piece, str)), 0)
        place = len(fill(turn.body[:first], parts))
        spans = self.twin.spans(turn.after, body)
        ends: list[int | None] = []
        for step in steps:
            words = self.scrub(step)[0].strip()
            place = body.find(words, place) + len(words) if words and words in body[place:] else -1
            if place < 0:
                return ends + [None] * (len(steps) - len(ends))
            # A character may take several tokens (bytes), and a token may reach across the separator: the last one
            # that begins before the step's end has seen all of the step.
            ends.append(max(i for i, (start, _) in enumerate(spans) if start < place))
        return ends

    def _turns(self, asked: Asked, response: Sequence[Message]) -> tuple[list[_Turn], list[list[str]]]:
        """The assistant's turns in a response, and the contents that fill them."""
        layout, parts, text = self._lay([*asked.messages, *response], generate=False)
        if not text.startswith(asked.text):
            raise self._no_prefix()
        key = (layout.shape, len(asked.messages))
        plan = self._plans.get(key)
        if plan is None:
            _bound(self._plans)
            plan = self._plans[key] = self._plan(*key)
        return plan, parts

    def header_ids(self) -> list[int]:
        """Tokens after a user's last word, up to where the assistant speaks."""
        return self.twin.follow(None, self.twin.spell(self.header))

    def decode(self, tokens: Sequence[int]) -> str:
        """What the assistant said in sampled tokens: up to the end of its turn, special tokens left out."""
        stop = next((i for i, token in enumerate(tokens) if token in self.stop_ids), len(tokens))
        text = self.twin.decode(tokens[:stop], inner=self._inside)
        for end in self.stop_strings:
            text = text.split(end, 1)[0]
        lead, tail = self._blanks
        return text.removeprefix(lead).removesuffix(tail)

    @cached_property
    def _after_end(self) -> str | None:
        return self.twin.after(self.twin.spell(self._end))

    @cached_property
    def _inside(self) -> bool:
        """Whether an answer begins in the middle of text, not right after a special token."""
        return self.twin.after(self.twin.spell(self.header)) is None

    @cached_property
    def _blanks(self) -> tuple[str, str]:
        """White space that the template itself puts before and after an answer (Llama-2: a space)."""
        before = self._probe((("user", (None,)), ("assistant", (None,))), False).literals[1]
        lead = before.removeprefix(self.header) if before.startswith(self.header) else ""
        special = self.twin.spelled.search(self._end)
        tail = self._end[: special.start()] if special else ""
        return "" if lead.strip() else lead, "" if tail.strip() else tail

    def _start(self, text: str) -> list[int]:
        if self._document and self._bos and text.startswith(self._bos):
            assert self.bos_id is not None
            return [self.bos_id, *self.twin.follow("", text[len(self._bos) :])]
        return self.twin.encode(text) if text else []

    def _layout(self, shape: Shape, generate: bool) -> _Layout:
        key = (shape, generate)
        layout = self._layouts.get(key)
        if layout is None:
            _bound(self._layouts)
            made = self._probe(shape, generate)
            layout = self._layouts[key] = _Layout(shape, made, made.pieces(), made.pieces(spell=self.twin.spell))
        return layout

    def _render(self, turns: Turns, generate: bool) -> str:
        return render(self._compiled, turns, self._special, generate=generate, name=self.name)

    def _lay(self, messages: Sequence[Message], *, generate: bool) -> tuple[_Layout, list[list[str]], str]:
        """How a conversation is laid out, its contents, and its text, which is what the template really renders."""
        turns = [{"role": m.role, "content": m.content} for m in messages]
        text = self._render(turns, generate)
        shape, parts = plain_shape(turns)
        if fill((layout := self._layout(shape, generate)).pieces, parts) == text:
            return layout, parts, text
        shape, parts = split_shape(turns, self._separators)
        if fill((layout := self._layout(shape, generate)).pieces, parts) == text:
            return layout, parts, text
        raise ModelError(
            f"the template rewrites what a turn says ({', '.join(m.role for m in messages)}), so its tokens cannot be "
            f"told apart from the template's",
            where=self.name,
            remedy="Simplify the template into a .jinja file, or name another one (chatml, plain, ...).",
        )

    def _plan(self, shape: Shape, first: int) -> list[_Turn]:
        """Cuts the response's part of a skeleton at each place where the assistant begins and stops to speak."""
        whole = self._layout(shape, False).skeleton
        spoken = [i for i in range(first, len(shape)) if shape[i][0] == "assistant"]
        cuts = [self._cut(whole, shape[:i]) for i in spoken]
        turns = []
        for number, (message, cut) in enumerate(zip(spoken, cuts, strict=True)):
            stop = self._stop(whole, message, cut)
            resume = (stop[0], stop[1] + len(self._end))
            next_cut = cuts[number + 1] if number + 1 < len(cuts) else resume
            before = self.twin.spell(whole.literals[cut[0]][: cut[1]])
            at_start = cut[0] == 0 and (not before or (self._document and before == self._bos))
            after = "" if at_start else self.twin.after(before)
            body, rest = (whole.pieces(a, b, self.twin.spell) for a, b in ((cut, stop), (resume, next_cut)))
            turns.append(_Turn(after, body, rest))
        return turns

    def _cut(self, whole: Skeleton, before: Shape) -> tuple[int, int]:
        """Where in the whole the assistant begins to speak: where the prompt with its header ends."""
        head = self._layout(before, True).skeleton
        if not head.starts(whole):
            raise self._no_prefix()
        return len(head.slots), len(head.literals[-1])

    def _no_prefix(self) -> ModelError:
        return ModelError(
            "a conversation with its answer does not begin as the prompt alone does, so the prompt's tokens would "
            "depend on the answer",
            where=self.name,
            remedy="Name a template without that (chatml, ... or a .jinja file). Prompts alone can be used with it.",
        )

    def _stop(self, whole: Skeleton, message: int, cut: tuple[int, int]) -> tuple[int, int]:
        """Where an assistant's words end and its end-of-turn begins."""
        after_last = max((i + 1 for i, slot in enumerate(whole.slots) if slot.message == message), default=None)
        number, offset = cut if after_last is None else (after_last, 0)
        found = whole.literals[number].find(self._end, offset)
        if found < 0 or (found > 0 and after_last is not None):
            raise ModelError(
                f"an assistant turn ends with {self._end!r} in one place and not in another",
                where=self.name,
                remedy="Name a template that ends every assistant turn alike (chatml, ... or a .jinja file).",
            )
        return number, found


def _bound(cache: dict[Any, Any]) -> None:
    if len(cache) >= _CACHE_SIZE:
        cache.clear()
