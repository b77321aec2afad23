"""`truing recipes` and `truing explain`: what can be trained, and how."""

from __future__ import annotations

from typing import Annotated

import typer

from truing.cli import options
from truing.cli.imports import importing
from truing.cli.options import Set, Use


def recipes(name: Annotated[str | None, typer.Argument(help="Print this recipe in full.")] = None) -> None:
    """List the shipped recipes, or print one."""
    from truing import recipe as module

    if name:
        print(module.dump(module.load(name)).rstrip())
        return
    for each in module.names():
        loaded = module.load(each)
        print(f"{each:14} {loaded.summary}  [{loaded.paper}]")


def explain(recipe: Annotated[str, typer.Argument(help="A recipe.")], settings: Set = None, use: Use = None) -> None:
    """Show which stage of a recipe makes each stream, and who reads it."""
    from truing import recipe as module
    from truing.explain import explain as explained

    options.use(use)
    chosen = module.load(recipe, settings or [])
    with importing():
        text = explained(chosen)
    print(text)
