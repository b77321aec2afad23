"""`truing export`."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from truing.cli.imports import importing


def export(
    models: Annotated[list[str], typer.Argument(help="A run, an adapter or a model; or several adapters of one base.")],
    out: Annotated[Path, typer.Option("--out", help="Folder to write.")],
    by: Annotated[
        str, typer.Option("--by", help="How several are merged: linear, ties, dare_linear, dare_ties.")
    ] = "linear",
    weights: Annotated[
        str | None, typer.Option("--weights", help="One for each adapter, as in 0.5,0.5; 1 for each by default.")
    ] = None,
    density: Annotated[float, typer.Option("--density", help="ties, dare: the share of each change kept.")] = 0.5,
    seed: Annotated[int, typer.Option("--seed", help="dare: decides what is dropped.")] = 0,
) -> None:
    """Merge adapters into their base and write a plain Hugging Face folder."""
    with importing():
        from truing.export import export as run
        from truing.export import settings

    print(run(models, out, settings(by, weights, density, seed)).text())
