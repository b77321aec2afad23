"""From a name in a recipe to a function with its settings checked and filled in."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any, cast

from pydantic import ConfigDict, Field, ValidationError, create_model

from truing.errors import RecipeError
from truing.recipe import Named
from truing.registry import Entry, Registry

__all__ = ["Bound", "bind"]


@dataclass(frozen=True, slots=True)
class Bound:
    """A registered function with its settings.

    `call(streams)` hands it the streams that its signature names.
    """

    entry: Entry
    settings: Mapping[str, Any]
    weight: float

    @property
    def name(self) -> str:
        return self.entry.name

    @property
    def reads(self) -> tuple[str, ...]:
        return self.entry.reads

    @property
    def function(self) -> Callable[..., Any]:
        """The function with its settings in; of a class, an instance made with them."""
        if inspect.isclass(self.entry.function):
            return cast("Callable[..., Any]", self.entry.function(**self.settings))
        return partial(self.entry.function, **self.settings)

    def call(self, streams: Mapping[str, Any]) -> Any:
        return self.entry.function(*(streams[name] for name in self.reads), **self.settings)


def bind(registry: Registry, named: Named) -> Bound:
    """Look the name up and check its settings against the types in its signature.

    `RegistryError` for an unknown name, `RecipeError` for a setting that it does not have, or of the wrong type.
    """
    entry = registry[named.name]
    # A reward's keyword-only parameter without a default is a column of the data, not a setting.
    columns = [s for s in entry.settings.values() if s.required] if registry.kind == "reward" else []
    if inspect.isclass(entry.function):
        columns = []
    known = {s.name: s for s in entry.settings.values() if s not in columns}
    # By alias: a setting may be called `schema` or `copy`, as pydantic's own methods are.
    fields: dict[str, Any] = {
        f"setting_{i}": (s.type, Field(alias=s.name) if s.required else Field(s.default, alias=s.name))
        for i, s in enumerate(known.values())
    }
    config = ConfigDict(extra="forbid", arbitrary_types_allowed=True)
    schema = create_model(f"{entry.name} settings", __config__=config, **fields)
    try:
        checked = schema.model_validate(named.settings)
    except ValidationError as error:
        first = error.errors(include_url=False)[0]
        key = ".".join(str(p) for p in first["loc"])
        what = "unknown setting" if first["type"] == "extra_forbidden" else first["msg"]
        defaults = ", ".join(f"{s.name} = {'required' if s.required else repr(s.default)}" for s in known.values())
        raise RecipeError(
            f"{what} (found {first['input']!r})",
            where=f"{registry.kind} `{entry.name}`, setting `{key}`",
            remedy=f"Its settings: {defaults or 'none'}.",
        ) from error
    return Bound(entry, {name: getattr(checked, f"setting_{i}") for i, name in enumerate(known)}, named.weight)
