"""The command line: verbs only. Each reads its options, calls one function, and shows what came back.

options, imports    what several verbs share
train, recipes, generate, export, studio, quickstart    the verbs, one file a family
feedback, evaluate, lab    verbs with verbs of their own

Nothing heavy is imported before a verb needs it, so that `truing --help` answers at once.
"""

from __future__ import annotations

import sys
from typing import Annotated

import typer

from truing import __version__
from truing.cli import evaluate, export, feedback, generate, lab, quickstart, recipes, studio, train
from truing.cli.imports import importing
from truing.errors import TruingError

__all__ = ["app", "importing", "main"]

app = typer.Typer(
    name="truing",
    help="Align a language model, and prove it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
    context_settings={"help_option_names": ["-h", "--help"]},
)
# In the order of the help page.
for verb in (
    train.train,
    recipes.recipes,
    recipes.explain,
    generate.generate,
    export.export,
    studio.collect,
    studio.studio,
    quickstart.quickstart,
    quickstart.compare_methods,
):
    app.command()(verb)
app.add_typer(feedback.app, name="feedback")
app.add_typer(evaluate.app, name="evaluate")
app.add_typer(lab.app, name="lab")


@app.callback(invoke_without_command=True)
def _main(version: Annotated[bool, typer.Option("--version", help="Print the version.")] = False) -> None:
    if version:
        print(f"truing {__version__}")
        raise typer.Exit


def main() -> None:
    """Entry point: errors of ours become one message and an exit code."""
    try:
        app()
    except TruingError as error:
        sys.stderr.write(f"error: {error}\n")
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        sys.stderr.write("stopped; `--resume` goes on from the last checkpoint\n")
        sys.exit(130)
