"""`truing quickstart` and `truing compare-methods`: whole jobs on the embedded world, each ending in a report."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from truing.cli.imports import importing


def quickstart(
    out: Annotated[Path, typer.Option("--out", help="Folder of the run.")] = Path("quickstart"),
    seed: Annotated[int, typer.Option("--seed", help="Another seed, another run.")] = 0,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the run in --out.")] = False,
    reasoning: Annotated[
        bool, typer.Option("--reasoning", help="Word problems instead: a cold start, then rewards that can be checked.")
    ] = False,
) -> None:
    """The whole job on the embedded world, in minutes: SFT, reward model, DPO, GRPO, evaluation, report."""
    if reasoning:
        with importing():
            from truing.quickstart import reasoning as stages

        page = stages.reasoning(out, stages.Settings(seed=seed), resume=resume)
    else:
        with importing():
            from truing.quickstart import Settings
            from truing.quickstart import quickstart as run

        page = run(out, Settings(seed=seed), resume=resume)
    print(f"report: {page}")


def compare_methods(
    out: Annotated[Path, typer.Option("--out", help="Folder of the comparison.")] = Path("comparison"),
    method: Annotated[list[str] | None, typer.Option("--method", help="A recipe; all offline ones by default.")] = None,
    seeds: Annotated[int, typer.Option("--seeds", min=1, help="How many seeds, from 0.")] = 3,
    online: Annotated[
        bool, typer.Option("--online", help="The online methods against one reward model instead.")
    ] = False,
    resume: Annotated[bool, typer.Option("--resume", help="Go on with the comparison in --out.")] = False,
) -> None:
    """Train every offline method on the same preferences of the embedded world and judge them: one table, one plot.
    With --online every online method against the same reward model, and how far each goes for what it gains."""
    with importing():
        if online:
            from truing.quickstart.frontier import frontier as run
        else:
            from truing.quickstart.compare import compare_methods as run

    page = run(out, method, seeds=range(seeds), resume=resume)
    print(f"report: {page}")
