"""Options of several verbs, and what is read out of their text."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

if TYPE_CHECKING:
    from truing.recipe import Named

__all__ = [
    "Format",
    "JsonLines",
    "MaxNewTokens",
    "Model",
    "Prompts",
    "Rewards",
    "Seed",
    "Set",
    "SkipBad",
    "Use",
    "as_in_recipes",
    "named_rewards",
    "names",
    "use",
]

Set = Annotated[list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change a setting of the recipe.")]
Use = Annotated[
    list[Path] | None, typer.Option("--use", metavar="FILE.py", help="Run a file that registers functions.")
]
SkipBad = Annotated[bool, typer.Option("--skip-bad", help="Skip rows that cannot be read, and say how many.")]
Rewards = Annotated[
    list[str] | None, typer.Option("--reward", help="A reward by name, or the folder of a reward model.")
]
Format = Annotated[str | None, typer.Option("--format", help="Name of the format; by default it is recognised.")]
Model = Annotated[str, typer.Option("--model", help="Folder or hub name of the model.")]
Prompts = Annotated[str, typer.Option("--data", help="File of prompts.")]
JsonLines = Annotated[Path, typer.Option("--out", help="JSONL file to write.")]
MaxNewTokens = Annotated[int, typer.Option("--max-new-tokens", min=1)]
Seed = Annotated[int, typer.Option("--seed")]


def use(files: list[Path] | None) -> None:
    """Register what installed packages bring, and what the files of `--use` do."""
    from truing.registry import use_file, use_plugins

    use_plugins()
    for file in files or []:
        use_file(file)


def as_in_recipes(reward: str) -> Any:
    """A `--reward` as a recipe names it: the folder of a reward model, or a name."""
    return {"model": {"path": reward}} if Path(reward).is_dir() else reward


def named_rewards(rewards: list[str] | None) -> list[Named]:
    """The rewards of a verb without a recipe."""
    from truing.recipe import Named
    from truing.settings import as_named

    return [Named.model_validate(as_named(as_in_recipes(reward))) for reward in rewards or []]


def names(text: str | None) -> list[str]:
    """The names in `ann, ben`."""
    return [name for name in map(str.strip, (text or "").split(",")) if name]
