"""A condition: what can go wrong in a run, when it has, what that means and what to change.

    @condition(needs=("entropy",), advice="...", source="...")
    def entropy_collapse(history, *, share: float = 0.2, window: int = 5) -> Seen | None:
        \"\"\"What it means, in a sentence.\"\"\"

A pure function of the history; its keyword-only parameters are its limits, which a recipe may set. A user's own comes
with `--use file.py`.
"""

from __future__ import annotations

import difflib
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from truing.errors import RecipeError, RegistryError
from truing.monitor.history import History
from truing.settings import MonitorSettings

__all__ = ["CONDITIONS", "Action", "Active", "Condition", "Seen", "active", "condition"]

Action = Literal["log", "warn", "stop", "rollback"]


@dataclass(frozen=True, slots=True)
class Seen:
    """A condition holds. `found` is a sentence with the numbers; `severity` grows as it gets worse and is 1 where the
    limit is just passed."""

    found: str
    severity: float = 1.0
    since: int | None = None
    """The step at which it began; by default that at which it is seen first."""
    advice: str | None = None
    """What to change, where more is known than in general."""


Function = Callable[..., Seen | None]


@dataclass(frozen=True)
class Condition:
    """A named condition with its default action."""

    name: str
    function: Function
    needs: tuple[str, ...]
    """The metrics that it looks at."""
    advice: str
    source: str
    """Where its limits come from."""
    action: Action

    @cached_property
    def means(self) -> str:
        """What it means: the first paragraph of the function's docstring."""
        return " ".join((inspect.getdoc(self.function) or "").split("\n\n")[0].split())

    @cached_property
    def limits(self) -> dict[str, float]:
        """Its limits and their defaults."""
        parameters = inspect.signature(self.function).parameters.values()
        return {p.name: p.default for p in parameters if p.kind is p.KEYWORD_ONLY}


CONDITIONS: dict[str, Condition] = {}
"""All that are known, in the order in which they are asked."""


def condition(
    *, needs: tuple[str, ...], advice: str, source: str, action: Action = "warn"
) -> Callable[[Function], Function]:
    """Make a function a condition, under its own name."""

    def register(function: Function) -> Function:
        name = function.__name__
        held = CONDITIONS.get(name)
        if held is not None and held.function.__module__ != function.__module__:
            raise RegistryError(f"there is a condition `{name}` already, in {held.function.__module__}")
        CONDITIONS[name] = Condition(name, function, needs, advice, source, action)
        return function

    return register


@dataclass(frozen=True)
class Active:
    """A condition as a recipe has it."""

    condition: Condition
    limits: Mapping[str, float]
    action: Action

    def seen(self, history: History) -> Seen | None:
        return self.condition.function(history, **self.limits)


def active(settings: MonitorSettings) -> list[Active]:
    """The conditions that a recipe wants watched. `RecipeError` for a name or a limit that there is not."""
    for section in ("actions", "ignore", "limits"):
        for name in getattr(settings, section):
            if name not in CONDITIONS:
                near = difflib.get_close_matches(name, CONDITIONS, 1)
                hint = f"Did you mean `{near[0]}`? " if near else ""
                known = f"{hint}Conditions: {', '.join(CONDITIONS)}."
                raise RecipeError(f"there is no condition `{name}`", where=f"monitor.{section}", remedy=known)
    found = []
    for name, each in CONDITIONS.items():
        limits = settings.limits.get(name, {})
        if unknown := sorted(limits.keys() - each.limits.keys()):
            defaults = ", ".join(f"{limit} = {value}" for limit, value in each.limits.items()) or "none"
            raise RecipeError(
                f"it has no limit `{unknown[0]}`", where=f"monitor.limits.{name}", remedy=f"Its limits: {defaults}."
            )
        # A window is a number of steps, and YAML's 5 may have become 5.0 on its way.
        typed = {limit: type(each.limits[limit])(value) for limit, value in limits.items()}
        if name not in settings.ignore:
            found.append(Active(each, typed, settings.actions.get(name, each.action)))
    return found
