"""`truing feedback ...`: look after feedback files."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from truing.cli.options import Format, SkipBad, names
from truing.errors import UserError

app = typer.Typer(help="Look after feedback files.", no_args_is_help=True, rich_markup_mode=None)


@app.command()
def check(file: str, format: Format = None) -> None:
    """Read every row and report each that cannot be used."""
    from truing.feedback.check import check

    report = check(file, format=format)
    print(report.text())
    if report.num_problems:
        raise typer.Exit(2)


@app.command()
def stats(file: str, format: Format = None, skip_bad: SkipBad = False) -> None:
    """What is in a file: kinds, group sizes, ties, lengths, annotators."""
    from truing.feedback.stats import stats

    print(stats(file, format=format, skip_bad=skip_bad).text())


@app.command()
def agreement(
    file: str,
    format: Format = None,
    skip_bad: SkipBad = False,
    target: Annotated[float, typer.Option("--target", help="Agreement to reach: kappa, or alpha of numbers.")] = 0.6,
    item: Annotated[
        str | None, typer.Option("--item", help="Column that tells apart items with the same prompt and responses.")
    ] = None,
    by: Annotated[str | None, typer.Option("--by", help="Column to break disagreement down by.")] = None,
    columns: Annotated[
        str | None, typer.Option("--columns", metavar="A,B,...", help="A plain table: columns, one an annotator.")
    ] = None,
    level: Annotated[
        str, typer.Option("--level", help="What --columns hold: nominal (words), ordinal or interval (numbers).")
    ] = "nominal",
    as_json: Annotated[bool, typer.Option("--json", help="Print all of it as JSON.")] = False,
) -> None:
    """Do people agree? Kappa and alpha with intervals, by pair and overall, and where they part."""
    import json

    from truing.feedback.agreement import agreement

    found = agreement(
        file, format=format, skip_bad=skip_bad, target=target, item=item, by=by, columns=names(columns), level=level
    )
    print(json.dumps(found.as_json(), ensure_ascii=False, indent=1) if as_json else found.text())


@app.command()
def interface(
    file: str,
    out: Annotated[Path, typer.Option("--out", help="XML file to write.")],
    ask: Annotated[
        list[str] | None,
        typer.Option("--ask", help="Ask for it, too: preference, ranking, thumbs, critique, edit, or an aspect."),
    ] = None,
    format: Format = None,
) -> None:
    """Write the labelling interface that Label Studio wants for the tasks of a file."""
    from truing.feedback import read
    from truing.feedback.formats.label_studio import config

    if not out.parent.is_dir():
        raise UserError("there is no such folder", where=str(out.parent), remedy="Make it first.")
    out.write_text(config(read(file, format=format), kinds=ask or []), encoding="utf-8")
    print(f"interface: {out}")


@app.command()
def convert(
    file: str,
    out: Annotated[Path, typer.Option("--out", help="File to write; its ending says how.")],
    to: Annotated[
        str,
        typer.Option(
            "--to",
            help="Name of a format, or a kind: pairs, adjacent_pairs, best_and_worst, best_and_rest, rankings, scores, "
            "labels, revisions, demonstrations.",
        ),
    ],
    format: Format = None,
    skip_bad: SkipBad = False,
    merge: Annotated[
        str | None,
        typer.Option("--merge", help="Several annotators as one: majority, mean, dawid_skene, bradley_terry."),
    ] = None,
    aspect: Annotated[str | None, typer.Option("--aspect", help="Which of several scores counts.")] = None,
    tolerance: Annotated[float, typer.Option("--tolerance", min=0.0, help="Scores that differ by no more tie.")] = 0.0,
    strength_scale: Annotated[
        float | None,
        typer.Option("--strength-scale", help="Give pairs of scores the strength sigmoid(gap / this)."),
    ] = None,
    threshold: Annotated[
        float | None,
        typer.Option("--threshold", help="The score from which on a response is good; the middle of the scale."),
    ] = None,
    predictions: Annotated[
        bool, typer.Option("--predictions", help="To labelling tools: as what models predict, not as what people said.")
    ] = False,
) -> None:
    """Rewrite a file in another format, or as another kind of feedback."""
    from truing.feedback.convert import Options, convert

    if strength_scale is not None and strength_scale <= 0:
        raise UserError(f"--strength-scale is {strength_scale}", remedy="It should be above 0, in points of the score.")
    done = convert(
        file,
        out,
        to=to,
        format=format,
        skip_bad=skip_bad,
        merge_by=merge,
        options=Options(aspect, tolerance, strength_scale, threshold),
        predictions=predictions,
    )
    print(done.text())
