"""Runs chat templates in a sandbox.

A template comes with a model and is a program by a stranger: it runs in jinja2's immutable sandbox with the same
extensions and functions that transformers gives it, and sees nothing but the messages and the special tokens.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, NoReturn

import jinja2
from jinja2 import nodes
from jinja2.ext import Extension, loopcontrols
from jinja2.parser import Parser
from jinja2.sandbox import ImmutableSandboxedEnvironment

from truing.errors import DataError, ModelError

__all__ = ["Turns", "render", "strings", "template"]

Turns = Sequence[Mapping[str, str]]


class _Refusal(jinja2.TemplateError):
    """The template called raise_exception."""


class _Generation(Extension):
    """`{% generation %}` marks the assistant's words for transformers; here it only has to let them through."""

    tags = {"generation"}  # noqa: RUF012 (jinja2 declares it so)

    def parse(self, parser: Parser) -> list[nodes.Node]:
        next(parser.stream)
        return parser.parse_statements(("name:endgeneration",), drop_needle=True)


def _raise_exception(message: str) -> NoReturn:
    raise _Refusal(message)


def _strftime_now(form: str) -> str:
    return datetime.now().strftime(form)


def _tojson(value: Any, ensure_ascii: bool = False, indent: int | None = None, **more: Any) -> str:
    # jinja's own escapes <, > and & for HTML; transformers replaces it in this way.
    known = {key: more[key] for key in ("separators", "sort_keys") if key in more}
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, **known)


def _environment() -> ImmutableSandboxedEnvironment:
    environment = ImmutableSandboxedEnvironment(
        trim_blocks=True, lstrip_blocks=True, extensions=[_Generation, loopcontrols]
    )
    environment.filters["tojson"] = _tojson
    environment.globals["raise_exception"] = _raise_exception
    environment.globals["strftime_now"] = _strftime_now
    return environment


def template(source: str, *, name: str) -> jinja2.Template:
    """Compiles; `ModelError` where the syntax is wrong."""
    try:
        compiled = _environment().from_string(source)
    except jinja2.TemplateSyntaxError as error:
        raise ModelError(
            f"the chat template is not valid jinja: {error.message}",
            where=f"{name}, line {error.lineno}",
            remedy="Mend the template, or name another one (chatml, plain, ...).",
        ) from error
    # jinja2 chains two mappings here and copies the chain at every rendering, which takes longer than the rendering.
    compiled.globals = dict(compiled.globals)
    return compiled


def strings(source: str) -> set[str]:
    """Every string that the template writes down as an expression: what it might look for in a message."""
    found = {node.value for node in _environment().parse(source).find_all(nodes.Const)}
    return {value for value in found if isinstance(value, str)}


def render(compiled: jinja2.Template, messages: Turns, special: Mapping[str, Any], *, generate: bool, name: str) -> str:
    """The conversation as the template writes it; `generate` adds the header of the assistant's next turn.

    `DataError` where the template refuses the conversation (its `raise_exception`), `ModelError` where it breaks.
    """
    try:
        return compiled.render(
            messages=[dict(m) for m in messages],
            tools=None,
            documents=None,
            add_generation_prompt=generate,
            **special,
        )
    except _Refusal as error:
        roles = ", ".join(m["role"] for m in messages) or "no turn"
        raise DataError(
            f"the template refuses this conversation ({roles}): {error}",
            where=name,
            remedy="Bring the turns into the order it asks for, or name another template (chatml, plain, ...).",
        ) from error
    except Exception as error:  # a template is a stranger's program and may fail in any way
        raise ModelError(
            f"the chat template fails: {type(error).__name__}: {error}",
            where=name,
            remedy="Name another template (chatml, plain, ... or a .jinja file).",
        ) from error
