"""The formats: one small file each, asked in this order which of them knows a row.

A format of your own: `formats.register(Format(...))`; it is asked before the others.
"""

from __future__ import annotations

from truing.errors import DataError, RegistryError
from truing.feedback.formats import (
    alpaca,
    argilla,
    bare,
    bigbench_mistake,
    group,
    hh,
    label_studio,
    llmbar,
    llmfao,
    messages,
    mr_gsm8k,
    oasst,
    pandalm,
    preference,
    prm800k,
    prompt_completion,
    ranking,
    red_team,
    scores,
    sharegpt,
    stepwise,
    text,
    topical_chat,
    unpaired,
)
from truing.feedback.formats.base import Format
from truing.feedback.formats.cells import Row, near

__all__ = ["FORMATS", "Format", "Row", "get", "register", "sniff"]

FORMATS: dict[str, Format] = {
    module.FORMAT.name: module.FORMAT
    # The most particular first: each is asked only about rows that those before it do not know.
    for module in (
        # Published files with a layout of their own.
        oasst,
        pandalm,
        llmfao,
        llmbar,
        prm800k,
        mr_gsm8k,
        bigbench_mistake,
        topical_chat,
        # Labelling tools.
        label_studio,
        argilla,
        ranking,
        scores,
        group,
        stepwise,
        unpaired,
        hh,
        preference,
        prompt_completion,
        messages,
        sharegpt,
        alpaca,
        red_team,
        bare,
        text,
    )
}


def register(format: Format) -> None:
    """Add a format, to be asked before those that are there."""
    if format.name in FORMATS:
        raise RegistryError(f"format `{format.name}` is already defined", remedy="Choose another name.")
    others = dict(FORMATS)
    FORMATS.clear()
    FORMATS.update({format.name: format}, **others)


def get(name: str) -> Format:
    """The format of this name."""
    if name not in FORMATS:
        meant = near(name, FORMATS)
        raise RegistryError(
            f"there is no format `{name}`",
            remedy=(f"Did you mean `{meant}`? " if meant else "") + f"Known: {', '.join(FORMATS)}.",
        )
    return FORMATS[name]


def recognised(row: Row) -> Format | None:
    """The first format that knows the row."""
    return next((format for format in FORMATS.values() if format.sniff(row)), None)


def sniff(row: Row, where: str) -> Format:
    """The format of a row, or a `DataError` that says which one its columns come nearest to."""
    format = recognised(row)
    if format is not None:
        return format
    names = [str(name) for name in row]
    meant = _misspelt(names)
    raise DataError(
        f"its columns fit no format: {', '.join(names[:20]) or 'there are none'}",
        where=where,
        remedy=(f"Did you mean `{meant[1]}` where it says `{meant[0]}`? " if meant else "")
        + "Rename the columns, or name the format (--format). Formats: "
        + "; ".join(f"{f.name} ({', '.join(f.needs)})" for f in FORMATS.values())
        + ".",
    )


def _misspelt(names: list[str]) -> tuple[str, str] | None:
    """(what it says, what it may mean): the misspelling whose repair makes a whole format, else any."""
    known = {column for format in FORMATS.values() for column in (*format.needs, "feedback")}
    close = {name: meant for name in names if name not in known and (meant := near(name, known))}
    for name, meant in close.items():
        repaired = {meant, *names} - {name}
        if any(meant in format.needs and repaired >= set(format.needs) for format in FORMATS.values()):
            return name, meant
    return next(iter(close.items()), None)
