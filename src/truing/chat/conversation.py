"""`Chat`: groups in messages become groups in tokens, within limits and with nothing lost in silence."""

from __future__ import annotations

import copy
import logging
from collections.abc import Sequence
from dataclasses import asdict, dataclass, replace
from enum import StrEnum
from typing import TYPE_CHECKING, Any

from truing.chat.form import Asked, Form
from truing.chat.templates import NAMED, Choice, choose
from truing.errors import DataError, RecipeError
from truing.group import Group, Message, Prompt, Response

if TYPE_CHECKING:
    from truing.tree import Tree

__all__ = ["Chat", "Counts", "Encoded", "Truncation"]

_log = logging.getLogger(__name__)


class Truncation(StrEnum):
    """What happens to a prompt that is too long.

    A response that is too long loses its end under both `keep` policies (it is written from its beginning, and what
    has lost its beginning is nothing that a model could have said), and its group under `drop`.
    """

    KEEP_END = "keep_end"
    """Keep bos and the last tokens: the question of a dialogue stands at its end."""
    KEEP_START = "keep_start"
    """Keep the first tokens and the header of the answer: the task stands at the beginning."""
    DROP = "drop"
    """Leave the whole group out."""


@dataclass(frozen=True, slots=True)
class Encoded:
    """A prompt and a response in tokens. `mask[t]` says whether response token t is the assistant's, its end-of-turn
    token included; `finished` is False where the response was cut and has no end."""

    prompt: list[int]
    response: list[int]
    mask: list[bool]
    finished: bool = True


@dataclass(slots=True)
class Counts:
    """What happened to the texts so far."""

    truncated_prompts: int = 0
    truncated_responses: int = 0
    dropped: int = 0
    forged_markers: int = 0

    def add(self, other: Counts) -> None:
        """And what happened to others."""
        for name, number in asdict(other).items():
            setattr(self, name, getattr(self, name) + number)


class Chat:
    """A tokenizer with a template.

    `template` is `auto` (the tokenizer's own, else plain), `chatml`, `alpaca`, `llama-2`, `llama-3`, `zephyr`, `plain`
    or the path of a .jinja file. It is written into `tokenizer.chat_template`, so that a saved folder is a standard
    one. An empty prompt always means plain text from nothing.

    - The prompt's tokens do not depend on the response, and ordinary text gives the tokens of
      `tokenizer.apply_chat_template`, but that a response ends with its end-of-turn token.
    - No content can forge a turn marker: special tokens in contents are tokenised as the text they look like, markers
      that are ordinary text are broken by a space; `counts.forged_markers` says how many.
    - A template without a system role gets the system turn at the head of the first user turn, an empty line between.
    - `keep_end` is the default: it keeps the question and the data; `drop` would change which prompts are trained on.
    """

    def __init__(
        self,
        tokenizer: Any,
        template: str = "auto",
        *,
        max_prompt_tokens: int | None = None,
        max_response_tokens: int | None = None,
        truncation: Truncation = Truncation.KEEP_END,
    ) -> None:
        self.tokenizer = tokenizer
        self.max_prompt_tokens, self.max_response_tokens = max_prompt_tokens, max_response_tokens
        self.truncation = Truncation(truncation)
        self.counts = Counts()
        self.choice = choose(tokenizer, template)
        self._form = Form(tokenizer, self.choice)
        self._others: dict[str, Form] = {}
        tokenizer.chat_template = self.choice.source
        _log.info("chat template: %s", self.choice.said)

        self.stop_ids: frozenset[int] = self._form.stop_ids
        """Tokens that end an assistant turn."""
        self.stop_strings: tuple[str, ...] = self._form.stop_strings
        """Text that ends an assistant turn, where the template's end of turn is no token; eos follows it."""
        self.end_ids: list[int] = self._form.end_ids
        """Tokens that close an assistant turn."""
        self._header_ids = self._form.header_ids()
        self._check_limits()

    def apart(self) -> Chat:
        """The same with counts of its own: for another thread, or to see what some texts alone add."""
        other = copy.copy(self)
        other.counts = Counts()
        return other

    @property
    def pad_id(self) -> int:
        """Filler for padded rows; it is masked wherever it stands, so eos does where the tokenizer has no pad token."""
        pad = self.tokenizer.pad_token_id
        return int(self.end_ids[-1] if pad is None else pad)

    def prompt(self, prompt: Prompt) -> list[int] | None:
        """Tokens of a prompt up to where the assistant speaks; None if the policy drops it."""
        return self._fit(self._ask(prompt)[1].tokens)

    def encode(self, prompt: Prompt, response: Response) -> Encoded | None:
        """A prompt and one response; None if the policy drops them."""
        encoded = self._encode(prompt, [response])
        return encoded[0] if encoded else None

    def group(self, group: Group) -> Tree | None:
        """The prompt once and every response as a branch; None if the policy drops one of them, because the feedback
        speaks of all."""
        from truing.tree import Branch, Tree  # it needs torch

        if not group.responses:
            tokens = self.prompt(group.prompt)
            return None if tokens is None else Tree(tokens, [])
        encoded = self._encode(group.prompt, group.responses)
        if encoded is None:
            return None
        return Tree(encoded[0].prompt, [Branch(e.response, e.mask, finished=e.finished) for e in encoded])

    def step_ends(self, prompt: Prompt, response: Response) -> list[int | None]:
        """Where each of the response's steps ends: the index, in the response tokens of `encode`, of the last token
        that holds something of the step's last character; None where truncation has cut it off.

        `DataError` where the steps are not the words of the response in order, or it has several turns.
        """
        spoken = _spoken(response)
        if len(spoken) != 1:
            raise DataError(
                f"a response with steps has {len(spoken)} turns", remedy="Steps are cut from a single assistant turn."
            )
        counted = self.counts.forged_markers  # `encode` counts them, once
        form, asked = self._ask(prompt)
        (message,) = self._scrub(spoken, form)
        self.counts.forged_markers = counted
        ends = form.step_ends(asked, message, response.steps)
        for step, end in zip(response.steps, ends, strict=True):
            if end is None:
                raise DataError(
                    f"the step {step[:60]!r} does not follow the one before it in the response's text",
                    remedy="A step has words, and the response is its steps in order, with separators between.",
                )
        limit = self.max_response_tokens
        return [None if end is None or (limit is not None and end >= limit) else end for end in ends]

    def follow_up(self, prompt: Prompt, text: str) -> list[int]:
        """Tokens between two assistant turns of an answer to `prompt`: a user's turn that says `text`, and the header.

        They stand after an end of turn and do not depend on what the assistant says before or after.
        """
        form = self._form if prompt.messages else self._plain
        asked = form.prompt([Message("user", "?")] if prompt.messages else [])
        turns = [Message("assistant", "."), Message("user", form.scrub(text)[0]), Message("assistant", ".")]
        tokens, mask = form.response(asked, turns)
        return [token for token, spoken in zip(tokens, mask, strict=True) if not spoken]

    def decode(self, tokens: Sequence[int]) -> str:
        """Text of a sampled response, without its end of turn and special tokens."""
        return self._form.decode(tokens)

    def notes(self) -> list[str]:
        """The template and everything that was cut, dropped or neutralised, for the log."""
        happened = {
            "truncated_prompts": f"prompts cut to {self.max_prompt_tokens} tokens ({self.truncation})",
            "truncated_responses": f"responses cut to {self.max_response_tokens} tokens, without end of turn",
            "dropped": "prompts or groups dropped as too long",
            "forged_markers": "turn markers inside messages neutralised",
        }
        counted = asdict(self.counts)
        return [f"chat template: {self.choice.said}"] + [
            f"{counted[what]} {said}" for what, said in happened.items() if counted[what]
        ]

    @property
    def _plain(self) -> Form:
        """For empty prompts: most templates cannot speak without being asked."""
        if self.choice.name == "plain":
            return self._form
        if "plain" not in self._others:
            self._others["plain"] = Form(self.tokenizer, Choice(NAMED["plain"], "plain", ""))
        return self._others["plain"]

    def _ask(self, prompt: Prompt) -> tuple[Form, Asked]:
        form = self._form if prompt.messages else self._plain
        messages = self._scrub(prompt.messages, form)
        return form, form.prompt(messages if form.has_system else _merge_system(messages))

    def _fit(self, tokens: list[int]) -> list[int] | None:
        """A prompt's tokens within the limit."""
        limit = self.max_prompt_tokens
        if limit is None or len(tokens) <= limit:
            return tokens
        if self.truncation is Truncation.DROP:
            self.counts.dropped += 1
            return None
        self.counts.truncated_prompts += 1
        if self.truncation is Truncation.KEEP_START:
            return tokens[: limit - len(self._header_ids)] + self._header_ids
        head = tokens[:1] if tokens[0] == self.tokenizer.bos_token_id else []
        return head + tokens[len(tokens) - limit + len(head) :]

    def _encode(self, prompt: Prompt, responses: Sequence[Response]) -> list[Encoded] | None:
        form, asked = self._ask(prompt)
        prompt_tokens = self._fit(asked.tokens)
        if prompt_tokens is None:
            return None
        limit = self.max_response_tokens
        encoded = []
        for response in responses:
            tokens, mask = form.response(asked, self._scrub(_spoken(response), form))
            finished = limit is None or len(tokens) <= limit
            if not finished and self.truncation is Truncation.DROP:
                self.counts.dropped += 1
                return None
            if not finished:
                self.counts.truncated_responses += 1
                tokens, mask = tokens[:limit], mask[:limit]
            encoded.append(Encoded(prompt_tokens, tokens, mask, finished))
        return encoded

    def _scrub(self, messages: Sequence[Message], form: Form) -> list[Message]:
        made = []
        for message in messages:
            content, forged = form.scrub(message.content)
            self.counts.forged_markers += forged
            made.append(message if content is message.content else replace(message, content=content))
        return made

    def _check_limits(self) -> None:
        least = len(self._header_ids) + 2  # bos and a token of the question
        if self.max_prompt_tokens is not None and self.max_prompt_tokens < least:
            raise RecipeError(
                f"max_prompt_tokens = {self.max_prompt_tokens} leaves no room: the template's own tokens take "
                f"{least - 1}",
                where=self.choice.name,
                remedy=f"Use at least {least}.",
            )
        if self.max_response_tokens is not None and self.max_response_tokens < 1:
            raise RecipeError(f"max_response_tokens = {self.max_response_tokens}", remedy="Use at least 1.")


def _spoken(response: Response) -> Sequence[Message]:
    roles = [m.role for m in response.messages]
    if not roles or roles[0] != "assistant" or roles[-1] != "assistant":
        raise DataError(
            f"a response has the turns {', '.join(roles) or 'none'}",
            remedy="A response begins and ends with an assistant turn; what comes before it belongs to the prompt.",
        )
    return response.messages


def _merge_system(messages: list[Message]) -> list[Message]:
    if not messages or messages[0].role != "system":
        return messages
    system, *rest = messages
    if rest and rest[0].role == "user":
        return [replace(rest[0], content=f"{system.content}\n\n{rest[0].content}"), *rest[1:]]
    return [replace(system, role="user"), *rest]
