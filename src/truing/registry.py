"""Names for functions: a user writes a function, decorates it, and it has a name.

    @objective                          # named after the function
    def my_loss(logprobs, mask, *, beta: float = 0.1): ...

**The signature is the schema.** Positional parameters of objectives and advantages name the streams they read
(`streams.py` lists them all); keyword-only parameters are settings, typed and with defaults. Nothing else is declared
anywhere. A type may be narrowed, `Annotated[float, Field(gt=0)]`: who binds settings checks it. Names come from this
package, from `--use my.py`, and from installed packages with a `truing` entry point. Knows neither torch nor recipes.
"""

from __future__ import annotations

import difflib
import importlib
import importlib.metadata
import importlib.util
import inspect
import sys
import traceback
import typing
import zlib
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import cached_property
from importlib.machinery import SourceFileLoader
from pathlib import Path
from typing import Any, TypeVar

from truing.errors import RegistryError
from truing.streams import STREAMS

__all__ = ["Entry", "Registry", "Setting", "advantage", "load", "objective", "reward", "use_file", "use_plugins"]

F = TypeVar("F", bound=Callable[..., Any])


@dataclass(frozen=True, slots=True)
class Setting:
    """A keyword-only parameter: its type and default (`inspect.Parameter.empty` = must be given)."""

    name: str
    type: Any
    default: Any

    @property
    def required(self) -> bool:
        return self.default is inspect.Parameter.empty


@dataclass(frozen=True)
class Entry:
    """A registered function, read through its signature."""

    kind: str
    name: str
    function: Callable[..., Any]

    @cached_property
    def reads(self) -> tuple[str, ...]:
        """The streams it reads: its positional parameters."""
        positional = (inspect.Parameter.POSITIONAL_OR_KEYWORD, inspect.Parameter.POSITIONAL_ONLY)
        return tuple(p.name for p in inspect.signature(self.function).parameters.values() if p.kind in positional)

    @cached_property
    def settings(self) -> dict[str, Setting]:
        """Its settings: its keyword-only parameters, in order.

        `RegistryError` where the type of one is not known at run time.
        """
        parameters = inspect.signature(self.function).parameters.values()
        wanted = [p for p in parameters if p.kind is inspect.Parameter.KEYWORD_ONLY]
        types = self._types({p.name: p.annotation for p in wanted if p.annotation is not inspect.Parameter.empty})
        return {p.name: Setting(p.name, types.get(p.name, Any), p.default) for p in wanted}

    def _types(self, annotations: dict[str, Any]) -> dict[str, Any]:
        # Of the settings only: the types of streams may well be imported for the type checker alone.
        def settings() -> None: ...

        settings.__annotations__ = annotations
        code = inspect.unwrap(self.function.__init__ if inspect.isclass(self.function) else self.function)
        try:
            return typing.get_type_hints(settings, getattr(code, "__globals__", {}), include_extras=True)
        except NameError as error:
            raise RegistryError(
                f"the type of a setting of {self.kind} `{self.name}` is not known when it runs: {error}",
                where=_source(self.function),
                remedy="Import it outside `if TYPE_CHECKING:`.",
            ) from error

    @property
    def summary(self) -> str:
        """The first line of its docstring."""
        return (inspect.getdoc(self.function) or "").split("\n", 1)[0]


def _source(function: Callable[..., Any]) -> str:
    """The file that a function was written in."""
    try:
        return inspect.getsourcefile(inspect.unwrap(function)) or function.__module__
    except TypeError:  # built in, or typed in at a prompt
        return function.__module__


class Registry:
    """The functions of one kind by name; `package` is imported on first use, so that looking costs nothing before."""

    def __init__(self, kind: str, package: str, *, streams: bool = False) -> None:
        self.kind, self.package, self.streams = kind, package, streams
        self._entries: dict[str, Entry] = {}

    def register(self, function: F, name: str | None = None) -> F:
        """Give a function a name, by default its own.

        `RegistryError` where the name is taken or the signature is no schema.
        """
        entry = Entry(self.kind, name or function.__name__, function)
        if not f"{function.__module__}.".startswith(f"{self.package}."):
            importlib.import_module(self.package)  # first come our own, so that a clash is the newcomer's
        if self.streams:
            self._check_streams(entry)
        held = self._entries.get(entry.name)
        if held is not None and _source(held.function) != _source(function):
            raise RegistryError(
                f"{self.kind} `{entry.name}` is already defined in {_source(held.function)}",
                where=_source(function),
                remedy="Choose another name.",
            )
        self._entries[entry.name] = entry
        return function

    def _check_streams(self, entry: Entry) -> None:
        where = _source(entry.function)
        open_ended = (inspect.Parameter.VAR_POSITIONAL, inspect.Parameter.VAR_KEYWORD)
        for parameter in inspect.signature(entry.function).parameters.values():
            if parameter.kind in open_ended:
                raise RegistryError(
                    f"{self.kind} `{entry.name}` takes `{parameter}`: nobody can tell what it reads",
                    where=where,
                    remedy="Name every stream, and after a `*` every setting.",
                )
        for name in entry.reads:
            if name not in STREAMS:
                near = difflib.get_close_matches(name, STREAMS, 1)
                raise RegistryError(
                    f"{self.kind} `{entry.name}` reads `{name}`, which is no stream",
                    where=where,
                    remedy=(f"Did you mean `{near[0]}`? " if near else "")
                    + f"Streams: {', '.join(STREAMS)}. Settings come after a `*`.",
                )

    def __call__(self, function: F) -> F:
        return self.register(function)

    def __getitem__(self, name: str) -> Entry:
        importlib.import_module(self.package)
        if name not in self._entries:
            near = difflib.get_close_matches(name, self._entries, 1)
            raise RegistryError(
                f"there is no {self.kind} `{name}`",
                remedy=(f"Did you mean `{near[0]}`? " if near else "") + f"Known: {', '.join(sorted(self._entries))}.",
            )
        return self._entries[name]

    def __contains__(self, name: object) -> bool:
        importlib.import_module(self.package)
        return name in self._entries

    def __iter__(self) -> Iterator[Entry]:
        importlib.import_module(self.package)
        return iter(sorted(self._entries.values(), key=lambda e: e.name))


objective = Registry("objective", "truing.objectives", streams=True)
advantage = Registry("advantage", "truing.advantages", streams=True)
reward = Registry("reward", "truing.rewards")


def use_file(path: str | Path) -> None:
    """Run a user's Python file so that what it decorates is registered (`--use my.py`).

    `RegistryError` naming file and line where that fails.
    """
    path = Path(path)
    if not path.is_file():
        raise RegistryError("no such file", where=str(path), remedy="`--use` takes the path of a Python file.")
    # The digest keeps apart two files of the same name in different folders.
    name = f"truing_user_{path.stem}_{zlib.crc32(str(path.resolve()).encode()):08x}"
    spec = importlib.util.spec_from_file_location(name, path, loader=SourceFileLoader(name, str(path)))
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    sys.modules[name] = module
    try:
        spec.loader.exec_module(module)
    except RegistryError:
        del sys.modules[name]
        raise
    except (Exception, SystemExit) as error:
        del sys.modules[name]
        raise RegistryError(
            f"running it failed with {type(error).__name__}: {error}", where=_where(path, error)
        ) from error


def _where(path: Path, error: BaseException) -> str:
    """The file and the line in it that the error came from."""
    lines = [f.lineno for f in traceback.extract_tb(error.__traceback__) if f.filename == str(path)]
    if isinstance(error, SyntaxError) and error.filename == str(path):
        lines.append(error.lineno)
    return f"{path}:{lines[-1]}" if lines else str(path)


def use_plugins() -> None:
    """Import every installed package that has an entry point in the group `truing`.

    `RegistryError` naming the package where that fails.
    """
    for point in importlib.metadata.entry_points(group="truing"):
        load(point)


def load(point: importlib.metadata.EntryPoint) -> Any:
    """What an installed package's entry point names. `RegistryError` naming the package where that fails."""
    try:
        return point.load()
    except RegistryError:
        raise
    except (Exception, SystemExit) as error:
        package = point.dist.name if point.dist else point.value
        raise RegistryError(
            f"loading it failed with {type(error).__name__}: {error}",
            where=f"installed package `{package}`, entry point `{point.name} = {point.value}`",
            remedy="Update or uninstall that package.",
        ) from error
