"""`truing lab ...`: data and the base model of the embedded world."""

from __future__ import annotations

from typing import Annotated

import typer

from truing.cli.options import JsonLines, Seed

app = typer.Typer(help="The embedded world: data with a hidden judge, for trying things.", no_args_is_help=True)


@app.command()
def demonstrations(
    out: JsonLines,
    num: Annotated[int, typer.Option("--num", min=1, help="How many.")] = 1600,
    seed: Seed = 0,
) -> None:
    """Write answered requests of mixed quality, for SFT."""
    from truing import lab

    print(f"{lab.write_demonstrations(out, num, seed)} demonstrations: {out}")


@app.command()
def prompts(
    out: JsonLines,
    split: Annotated[str, typer.Option("--split", help="train, dev, test, or new (items never seen).")] = "train",
    num: Annotated[int | None, typer.Option("--num", min=1, help="How many; all by default.")] = None,
    seed: Seed = 0,
) -> None:
    """Write requests without answers."""
    from truing import lab

    print(f"{lab.write_prompts(out, split, num, seed)} prompts: {out}")


@app.command()
def problems(
    out: JsonLines,
    split: Annotated[str, typer.Option("--split", help="train, dev or test.")] = "train",
    num: Annotated[int, typer.Option("--num", min=1, help="How many.")] = 1000,
    seed: Seed = 0,
) -> None:
    """Write arithmetic word problems with their answers."""
    from truing import lab

    print(f"{lab.write_problems(out, split, num, seed)} problems: {out}")


@app.command()
def solutions(
    out: JsonLines,
    num: Annotated[int, typer.Option("--num", min=1, help="How many.")] = 800,
    direct: Annotated[
        float, typer.Option("--direct", min=0.0, max=1.0, help="Share that says the answer without a thought.")
    ] = 0.5,
    seed: Seed = 0,
) -> None:
    """Write arithmetic word problems with solutions, for a cold start: some worked out, some not, some badly."""
    from truing import lab

    print(f"{lab.write_solutions(out, num, seed, direct=direct)} solutions: {out}")


@app.command()
def model() -> None:
    """Print the folder of the embedded base model."""
    from truing import lab

    print(lab.base_path())
