"""Writes the pages of docs/ that are read off the code: run by `make docs`, and a test says when they are stale.

docs/cli.md        what `truing VERB --help` prints
docs/settings.md   every setting of a recipe, every objective, advantage and reward with its settings
docs/streams.md    every stream
docs/feedback.md   which recipe reads which kind of feedback, and which conversions lead to it
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
from truing.bind import bind
from truing.cli import app
from truing.errors import DataError
from truing.experience.offline import FEEDBACK
from truing.feedback.convert import KINDS, Options
from truing.group import Critique, Group, Labels, Prompt, Ranking, Response, Scores, StepLabels
from truing.streams import STREAMS
from truing.update import Loss

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


def feedback_page() -> str:
    """Kinds of feedback against recipes and conversions, found by trying."""
    needs: dict[str, list[str]] = {}
    for name in recipe.names():
        made = recipe.load(name)
        if not made.online:
            reads = Loss([bind(registry.objective, named) for named in made.objectives], made.reduction).reads
            called = sorted({called for stream, (_, called) in FEEDBACK.items() if stream in reads})
            needs.setdefault(", ".join(called), []).append(name)

    def direct(group: Group) -> list[str]:
        said = {called for kind, called in FEEDBACK.values() if group.said(kind)}
        return [name for called, names in needs.items() if called and set(called.split(", ")) <= said for name in names]

    def targets(group: Group) -> list[str]:
        found = []
        for name, kind in KINDS.items():
            try:
                found += [name] if kind.make(group, Options(threshold=3.0)) else []
            except DataError:
                continue
        return found

    three = tuple(Response.of(text) for text in "abc")
    samples = {
        "demonstrations": Group(Prompt.of("?"), three[:1]),
        "pairs": Group(Prompt.of("?"), three[:2], (Ranking.pair(),)),
        "rankings": Group(Prompt.of("?"), three, (Ranking((2, 1, 2)),)),
        "scores": Group(Prompt.of("?"), three, (Scores({"overall": (1.0, 5.0, 3.0)}),)),
        "thumbs": Group(Prompt.of("?"), three[:2], (Labels((True, False)),)),
        "marks on steps": Group(Prompt.of("?"), (Response.of_steps(["a", "b"]),), (StepLabels(((1, 1),)),)),
        "critiques with an edit": Group(Prompt.of("?"), three[:1], (Critique(("why",), (three[1],)),)),
    }
    imitating = " and ".join(f"`{name}`" for name in needs[""])
    lines = [
        NOTE,
        "# Feedback and the recipes that read it\n\n",
        "What a file says decides what it trains. Any other recipe refuses it and names the conversion that helps,\n",
        "`truing feedback convert FILE --to KIND`. `tests/test_matrix.py` tries all recipes on all kinds of file.\n\n",
        f"{imitating} read any file with responses and imitate those that nobody put below another or found a\n",
        "fault in; where somebody wrote a correction they imitate that ([sft](methods/sft.md)).\n\n",
        "| a file of | trains | converts to |\n|---|---|---|\n",
    ]
    for kind, group in samples.items():
        cells = [", ".join(f"`{name}`" for name in names) or "—" for names in (direct(group), targets(group))]
        lines.append(f"| {kind} | {cells[0]} | {cells[1]} |\n")
    lines.append(
        "\nPairs and rankings of single responses with thumbs or scores come of those that share a prompt. Thumbs of "
        "scores need\na `scale` in the data, or `--threshold`.\n"
    )
    return "".join(lines)


PAGES = {"cli.md": cli_page, "settings.md": settings_page, "streams.md": streams_page, "feedback.md": feedback_page}


if __name__ == "__main__":
    folder = Path(sys.argv[1]) if len(sys.argv) > 1 else HERE
    for name, page in PAGES.items():
        (folder / name).write_text(page(), encoding="utf-8")
        print(folder / name)
