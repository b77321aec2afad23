"""`truing train`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer

from truing.cli import options
from truing.cli.imports import importing
from truing.cli.options import Rewards, Set, SkipBad, Use


def train(
    recipe: Annotated[str, typer.Argument(help="A shipped recipe (truing recipes) or a .yaml file.")],
    out: Annotated[Path, typer.Option("--out", help="Folder of the run.")],
    model: Annotated[str | None, typer.Option("--model", help="Folder or hub name of the model.")] = None,
    data: Annotated[str | None, typer.Option("--data", help="File, folder or hub name of the data.")] = None,
    reward: Rewards = None,
    settings: Set = None,
    use: Use = None,
    skip_bad: SkipBad = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")] = False,
) -> None:
    """Train a model with a recipe."""
    from truing import recipe as recipes
    from truing.feedback.sources import check_source
    from truing.progress import Progress

    options.use(use)
    overrides: dict[str, Any] = {}
    if model:
        overrides["model.path"] = model
    if data:
        overrides["data.train"] = data
    if skip_bad:
        overrides["data.skip_bad"] = True
    if reward:
        overrides["rewards"] = [options.as_in_recipes(each) for each in reward]
    chosen = recipes.load(recipe, overrides | recipes.assignments(settings or []))
    for source in (chosen.data.train, chosen.data.validation):
        if source and not resume:
            check_source(source)
    with Progress(f"{chosen.name} → {out}") as progress:
        progress.stage("loading torch and transformers")
        with importing():
            from truing.train import train as run
        # Before the first step: who hears that half of the prompts are cut may not want to wait for the rest.
        result = run(
            chosen,
            out,
            resume=resume,
            watch=progress.step,
            hear=lambda note: progress.note(f"note: {note}"),
            tell=lambda finding: progress.note(f"{finding.action}: {finding}"),
            say=progress.stage,
        )
    print(f"model: {result.model}")
    print(f"record: {out / 'record.jsonl'}")
