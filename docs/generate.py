"""Writes the pages of docs/ that are read off the code: run by `make docs`, and a test says when they are stale.

docs/cli.md        what `truing VERB --help` prints
docs/settings.md   every setting of a recipe, every objective, advantage and reward with its settings
docs/streams.md    every stream
"""

from __future__ import annotations

import inspect
import sys
from pathlib import Path
from typing import Any

import click
import typer.main
from pydantic import BaseModel

from truing import recipe, registry
from truing.cli import app
from truing.streams import STREAMS

HERE = Path(__file__).parent
NOTE = "<!-- Written by docs/generate.py (`make docs`). -->\n\n"


def cli_page() -> str:
    """Help of every verb."""
    lines = [NOTE, "# The command line\n"]

    def add(command: Any, path: str, parent: click.Context | None) -> None:
        context = type(command).context_class(command, info_name=path.split()[-1], parent=parent, max_content_width=100)
        if parent is not None and not hasattr(command, "commands"):
            lines.append(f"\n## {path}\n\n```text\n{command.get_help(context)}\n```\n")
        for name, child in getattr(command, "commands", {}).items():
            add(child, f"{path} {name}", context)

    add(typer.main.get_command(app), "truing", None)
    return "".join(lines)


def settings_page() -> str:
    """Recipe settings from the models' own words."""
    lines = [NOTE, "# Settings\n\n", "Set any of them with `--set key=value`, by full path or by last part.\n"]

    def table(model: type[BaseModel], prefix: str) -> None:
        rows = []
        nested = []
        for name, info in model.model_fields.items():
            inner = recipe._section(info.annotation)
            if inner is not None and inner is not recipe.Named:
                nested.append((inner, f"{prefix}{name}."))
            else:
                default = "required" if info.is_required() else f"`{info.get_default(call_default_factory=True)}`"
                rows.append(f"| `{prefix}{name}` | {default} | {info.description or ''} |\n")
        title = prefix.rstrip(".") or "recipe"
        lines.append(f"\n## {title}\n\n| setting | default | effect |\n|---|---|---|\n{''.join(rows)}")
        for inner, path in nested:
            table(inner, path)

    table(recipe.Recipe, "")
    for kind in (registry.objective, registry.advantage, registry.reward):
        lines.append(f"\n# {kind.kind.capitalize()}s\n")
        for entry in kind:
            settings = ", ".join(
                f"`{s.name}`" if s.required else f"`{s.name} = {s.default!r}`" for s in entry.settings.values()
            )
            body = inspect.getdoc(entry.function) or ""
            lines.append(f"\n## {entry.name}\n\n{settings or 'No settings.'}\n\n```text\n{body}\n```\n")
    return "".join(lines)


def streams_page() -> str:
    """The closed list."""
    rows = "".join(f"| `{s.name}` | {s.shape} | {s.maker} | {s.meaning} |\n" for s in STREAMS.values())
    head = "# Streams\n\nWhat an objective may read.\n\n| stream | shape | made by | meaning |\n|---|---|---|---|\n"
    return f"{NOTE}{head}{rows}"


PAGES = {"cli.md": cli_page, "settings.md": settings_page, "streams.md": streams_page}


if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE
    for name, page in PAGES.items():
        (folder / name).write_text(page(), encoding="utf-8")
        print(folder / name)
